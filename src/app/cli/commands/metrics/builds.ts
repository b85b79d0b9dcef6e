import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { compare } from "../../../change/compare.ts"
import { drop } from "../../../change/drop.ts"
import { promote, rollBack } from "../../../change/promote.ts"
import { given, json, withProvenStore, withStore } from "../../options.ts"
import { printJson } from "../../print.ts"
import { comparisonLines } from "./comparisonLines.ts"
import { accept, why } from "./decision.ts"

const build = (what: string) => Argument.String("build").pipe(Argument.withDescription(what))

export const compareCommand = Command.make(
  "compare",
  {
    build: build("NAME, NAME@VERSION or NAME@VERSION.BUILD: what is compared with the build that is live"),
    most: Flag.Int("most").pipe(Flag.withDescription("How many differences are listed (10)"), Flag.withDefault(10)),
    json,
  },
  ({ build, most, json }) =>
    withProvenStore(
      Effect.gen(function* () {
        const comparison = yield* compare(build, Math.max(1, most))
        yield* json ? printJson(comparison) : Console.log(comparisonLines(comparison).join("\n"))
      }),
    ),
).pipe(
  Command.withDescription("Compare all cells of a build with those of the live one, at one place in the log"),
  Command.withExamples([
    { command: "tidemark metrics compare signups@2", description: "What version 2 would change, and who is behind it" },
  ]),
)

export const promoteCommand = Command.make(
  "promote",
  { build: build("NAME, NAME@VERSION or NAME@VERSION.BUILD: what is to answer from now on"), accept, why, json },
  ({ build, accept, why, json }) =>
    withProvenStore(
      Effect.gen(function* () {
        const { live, replaced, comparison } = yield* promote(build, { accept, why: given(why) })
        if (json) return yield* printJson({ live, replaced, comparison })
        if (comparison !== null) yield* Console.log(comparisonLines(comparison).join("\n"))
        const back =
          replaced === null ? "" : ` "tidemark metrics rollback ${live.split("@")[0]}" goes back to ${replaced}.`
        yield* Console.log(`${live} is live.${back}`)
      }),
    ),
).pipe(
  Command.withDescription("Make a build live, if its numbers are what they were expected to be"),
  Command.withExamples([{ command: "tidemark metrics promote signups", description: "Let the newest build answer" }]),
)

export const rollbackCommand = Command.make(
  "rollback",
  { metric: Argument.String("metric").pipe(Argument.withDescription("A metric")), why, json },
  ({ metric, why, json }) =>
    withProvenStore(
      Effect.gen(function* () {
        const { live, replaced } = yield* rollBack(metric, given(why))
        yield* json
          ? printJson({ live, replaced })
          : Console.log(`${live} is live again${replaced === null ? "" : `, in place of ${replaced}`}.`)
      }),
    ),
).pipe(
  Command.withDescription("Make the build live again that was before the one that is"),
  Command.withExamples([{ command: "tidemark metrics rollback signups", description: "Go back at once" }]),
)

export const dropCommand = Command.make(
  "drop",
  { build: build("NAME@VERSION or NAME@VERSION.BUILD: what is given up"), why, json },
  ({ build, why, json }) =>
    withStore(
      Effect.gen(function* () {
        const dropped = yield* drop(build, given(why))
        yield* json ? printJson({ dropped }) : Console.log(`${dropped} is given up.`)
      }),
    ),
).pipe(
  Command.withDescription("Give a build up that is not live: end it while it is built, or delete its numbers"),
  Command.withExamples([{ command: "tidemark metrics drop signups@1", description: "Keep version 1 no longer" }]),
)
