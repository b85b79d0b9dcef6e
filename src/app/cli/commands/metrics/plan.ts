import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { versionName } from "../../../../domain/projection/buildName.ts"
import { problemText } from "../../../metrics/BadDefinition.ts"
import { planMetrics, type PricedPlan } from "../../../metrics/planMetrics.ts"
import { ChangesPlanned, CliFailure, EXIT } from "../../failure.ts"
import { json, withStore } from "../../options.ts"
import { counted, printJson, visible } from "../../print.ts"
import { costLines } from "./costLines.ts"
import { fieldLine } from "./fieldLine.ts"
import { files, inLines } from "./files.ts"
import { strict } from "./strict.ts"

export const planCommand = Command.make(
  "plan",
  { files, strict, json },
  Effect.fn(function* ({ files, strict, json }) {
    const plan = yield* withStore(inLines(planMetrics(files, { strict }))).pipe(
      // The code of bad requests means changes here.
      Effect.mapError((failure) =>
        failure.code === EXIT.badRequest ? new CliFailure({ sentence: failure.sentence, code: EXIT.failed }) : failure,
      ),
    )
    yield* json ? printJson(plan) : Console.log(planLines(plan).join("\n"))
    if (plan.added.length + plan.changed.length + plan.waiting.length > 0) return yield* new ChangesPlanned()
  }),
).pipe(
  Command.withDescription("Show what applying definition files would change and cost; exits 2 when there are changes"),
  Command.withExamples([{ command: "tidemark metrics plan metrics.yaml", description: "Review before applying" }]),
)

const planLines = ({
  added,
  changed,
  waiting,
  passedOver,
  unaffected,
  unmentioned,
  builds,
  cost,
  warnings,
}: PricedPlan) => {
  const changes = added.length + changed.length + waiting.length
  return [
    ...warnings.map((warning) => `warning: ${visible(problemText(warning))}`),
    ...added.map((it) => `+ ${versionName(it)}${it.builds ? "" : ", nothing to build"}`),
    ...changed.flatMap(({ name, from, to, revives, fields, expect, builds }) => [
      `~ ${versionName({ name, version: from })} → ${versionName({ name, version: to })}${revives ? ", comes back" : ""}: ${expect} numbers expected${builds ? "" : ", nothing to build"}`,
      ...fields.map((field) => `    ${fieldLine(field)}`),
    ]),
    ...waiting.map(
      ({ name, version, live }) =>
        `~ ${versionName({ name, version })} is recorded and waits to be promoted; version ${live} answers`,
    ),
    ...passedOver.map(
      ({ name, version, live }) =>
        `= ${versionName({ name, version })} was gone back from or given up${live === null ? "" : `; version ${live} answers`}`,
    ),
    ...unaffected.map((it) => `= ${versionName(it)}`),
    ...(unmentioned.length === 0 ? [] : [`Not in these files, and left as they are: ${unmentioned.join(", ")}.`]),
    "",
    changes === 0 ? "No changes." : `${counted(changes, "change")}, ${builds.length} to build.`,
    ...(cost === null ? [] : costLines(cost)),
  ]
}
