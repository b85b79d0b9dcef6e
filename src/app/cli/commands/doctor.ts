import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { doctorEmbedded } from "../../doctor/embedded.ts"
import { doctorServers } from "../../doctor/servers.ts"
import { CliFailure, EXIT } from "../failure.ts"
import { configuration, json, withStore } from "../options.ts"
import { printJson } from "../print.ts"

export const doctorCommand = Command.make(
  "doctor",
  { json },
  Effect.fn(function* ({ json }) {
    const { directory, servers } = yield* configuration
    yield* withStore(
      Effect.gen(function* () {
        const findings = yield* servers === null ? doctorEmbedded(directory) : doctorServers(servers)
        if (json) yield* printJson({ findings })
        else {
          const rows = findings.map(({ check, outcome, found }) => `${SIGNS[outcome]} ${check}: ${found}`)
          yield* Console.log(rows.join("\n"))
        }
        const failures = findings.filter(({ outcome }) => outcome === "failure").length
        if (failures > 0) {
          const sentence = `${failures} of ${findings.length} checks failed; what to do stands with each.`
          return yield* new CliFailure({ sentence, code: EXIT.failed })
        }
      }),
    )
  }),
).pipe(
  Command.withDescription(
    "Look the store over: is the log whole, is there room, do the clocks agree, are the servers set up so that nothing is lost",
  ),
)

const SIGNS = { ok: "✓", warning: "!", failure: "✗" } as const
