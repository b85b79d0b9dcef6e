import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { verify } from "../../verify.ts"
import { CliFailure, EXIT } from "../failure.ts"
import { json, withStore } from "../options.ts"
import { formatCount, formatTable, printJson } from "../print.ts"

const SHOWN_MAX = 50

export const verifyCommand = Command.make("verify", { json }, ({ json }) =>
  withStore(
    Effect.gen(function* () {
      const { events, cells, differences } = yield* verify()
      if (json) yield* printJson({ events, cells, differences })
      else if (differences.length === 0) {
        yield* Console.log(
          `All ${formatCount(cells)} cells of the read model equal what the oracle makes of ${formatCount(events)} events.`,
        )
      } else {
        yield* Console.log(
          formatTable(
            ["metric", "date", "item", "stat", "read model", "oracle"],
            differences
              .slice(0, SHOWN_MAX)
              .map((it) => [`${it.metric} v${it.version}`, it.date, it.item, it.stat, it.readModel, it.oracle]),
          ),
        )
      }
      if (differences.length > 0) {
        const sentence = `${formatCount(differences.length)} of ${formatCount(cells)} cells differ from what the log says. "tidemark rebuild --accept" builds them anew; if they differ again, please report it.`
        return yield* new CliFailure({ sentence, code: EXIT.failed })
      }
    }),
  ),
).pipe(
  Command.withDescription(
    "Recompute every number from the log by the simplest code, and compare; exits 1 on a difference",
  ),
  Command.withExamples([{ command: "tidemark verify", description: "Prove the read model" }]),
)
