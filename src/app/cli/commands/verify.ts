import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import type { Difference } from "../../verify/difference.ts"
import { explainDifference, type Origin } from "../../verify/explainDifference.ts"
import { verify } from "../../verify/verify.ts"
import { CliFailure, EXIT } from "../failure.ts"
import { given, json, optionalText, range, withStore } from "../options.ts"
import { counted, formatCount, formatTable, printJson, visible } from "../print.ts"
import { showingReplay } from "../projecting.ts"

const SHOWN_MAX = 50

const showDifferences = (differences: ReadonlyArray<Difference>) =>
  Console.log(
    formatTable(
      ["build", "date", "item", "stat", "read model", "oracle"],
      differences.slice(0, SHOWN_MAX).map((it) => [it.build, it.date, it.item, it.stat, it.readModel, it.oracle]),
    ),
  )

const orNone = (value: string | null): string => value ?? "no such cell"

/** Where the first difference comes from, as a person reads it. */
const sayOrigin = ({ difference: { build, date, item, stat, oracle }, event, replay }: Origin): string => {
  const cell = [build, date, item, stat].filter((part) => part !== "").join(", ")
  if (event !== null) {
    const { partition, sequence, place, id, name, time, loggedAt } = event
    return `First of them, ${visible(cell)}: counted anew from the log, they part with event ${visible(id)} ("${visible(name)}", happened ${time}, logged ${loggedAt}; place ${place} of batch ${partition}/${sequence}). With it the engine counts ${orNone(event.engine)} and the oracle ${orNone(event.oracle)}; before it they agree. Please report it.`
  }
  return replay === oracle
    ? `First of them, ${visible(cell)}: a replay of the log gives ${orNone(replay)}, as the oracle does. The tables were changed otherwise, or made by an earlier version.`
    : `First of them, ${visible(cell)}: a projection of the log in steps gives ${orNone(replay)}, and counted at once it gives ${orNone(oracle)}, as the oracle does. Please report it.`
}

export const verifyCommand = Command.make(
  "verify",
  {
    metric: Flag.String("metric").pipe(
      Flag.withDescription("Only this metric, or a build of one, such as clicks@2; may be given several times"),
      Flag.atLeast(0),
    ),
    ...range,
    sample: optionalText("sample", "Only some of the days, chosen by the place in the log: 10%, or a number of days"),
    json,
  },
  ({ metric, from, to, sample, json }) =>
    withStore(
      Effect.gen(function* () {
        const metrics = metric.length === 0 ? {} : { metrics: metric }
        const verified = yield* verify({ ...metrics, from: given(from), to: given(to), sample: given(sample) })
        const { events, cells, days, differences, asOf } = verified
        const [first] = differences
        if (first === undefined) {
          if (json) return yield* printJson({ ...verified, origin: null })
          return yield* Console.log(
            `${cells === 1 ? "The only cell" : `All ${formatCount(cells)} cells`} of the read model${days === null ? "" : ` on ${counted(days.length, "day")}`} ${cells === 1 ? "equals" : "equal"} what the oracle makes of ${counted(events, "event")}.`,
          )
        }
        if (!json) yield* showDifferences(differences)
        // The differences are what was asked for; where they come from may be more than can be found out.
        const origin = yield* Effect.result(showingReplay(json, explainDifference(first, asOf.cut)))
        if (json) yield* printJson({ ...verified, origin: origin._tag === "Success" ? origin.success : null })
        else {
          yield* Console.log(
            origin._tag === "Success"
              ? sayOrigin(origin.success)
              : `Where the first of them comes from can't be found out: ${visible(origin.failure.message)}`,
          )
        }
        const sentence = `${formatCount(differences.length)} of ${counted(cells, "cell")} ${differences.length === 1 ? "differs" : "differ"} from what the log says. "tidemark rebuild --wipe" makes them anew; if they differ again, please report it.`
        return yield* new CliFailure({ sentence, code: EXIT.failed })
      }),
    ),
).pipe(
  Command.withDescription(
    "Recompute numbers from the log by the simplest code, and compare; exits 1 on a difference, and says where it comes from",
  ),
  Command.withExamples([
    { command: "tidemark verify", description: "Prove the read model" },
    { command: "tidemark verify --sample 7", description: "Prove a week's worth of days, others each time" },
    { command: "tidemark verify --metric revenue --from 2026-10-01 --to 2026-10-31", description: "Prove one report" },
  ]),
)
