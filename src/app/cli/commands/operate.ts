import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { pause, resume } from "../../worker/operate.ts"
import { CliFailure, EXIT } from "../failure.ts"
import { configuration, flag, json, withStore } from "../options.ts"
import { printJson } from "../print.ts"
import { projectShowing } from "../projecting.ts"

const partition = Flag.Int("partition").pipe(
  Flag.withDescription("This partition only; all of them if not given"),
  Flag.optional,
)

const named = (chosen: Option.Option<number>): string =>
  Option.match(chosen, { onNone: () => "all partitions", onSome: (n) => `partition ${n}` })

/** Before what only workers heed: on an embedded store it would be written down, and nothing would come of it. */
const needsWorkers = (command: string) =>
  Effect.gen(function* () {
    const { servers, directory } = yield* configuration
    if (servers !== null) return
    const sentence = `There are no workers to ${command} on an embedded store (${directory}): the process that opens it projects by itself. Nothing was changed.`
    return yield* new CliFailure({ sentence, code: EXIT.badRequest })
  })

export const pauseCommand = Command.make(
  "pause",
  { partition, json },
  Effect.fn(function* ({ partition, json }) {
    yield* needsWorkers("pause")
    yield* withStore(
      Effect.gen(function* () {
        yield* pause(Option.getOrNull(partition))
        if (json) return yield* printJson({ paused: Option.getOrNull(partition) ?? "all" })
        yield* Console.log(`Paused: ${named(partition)}. Events go on into the log; "tidemark resume" goes on.`)
      }),
    )
  }),
).pipe(
  Command.withDescription("Let the workers stop where they are; questions are still answered"),
  Command.withExamples([{ command: "tidemark pause --partition 3", description: "One partition" }]),
)

export const resumeCommand = Command.make(
  "resume",
  { partition, json },
  Effect.fn(function* ({ partition, json }) {
    yield* needsWorkers("resume")
    yield* withStore(
      Effect.gen(function* () {
        const lifted = yield* resume(Option.getOrNull(partition))
        if (json) return yield* printJson({ lifted })
        yield* Console.log(
          lifted.length === 0
            ? Option.match(partition, {
                onNone: () => "Nothing was paused.",
                onSome: (n) => `Partition ${n} was not paused.`,
              })
            : ["Goes on. It was paused because:", ...new Set(lifted.map(({ sentence }) => `  ${sentence}`))].join("\n"),
        )
      }),
    )
  }),
).pipe(
  Command.withDescription(
    "Let the workers go on, whatever paused them: an operator, the error budget, a batch that kills",
  ),
  Command.withExamples([{ command: "tidemark resume", description: "All partitions" }]),
)

const START = "start"

export const rewindCommand = Command.make(
  "rewind",
  {
    to: Flag.String("to").pipe(Flag.withDescription("Where to begin again: start; must be given"), Flag.optional),
    acceptLog: flag(
      "accept-log",
      "Also when the log is not the one that the read model was made from: it is from now on",
    ),
    json,
  },
  Effect.fn(function* ({ to, acceptLog, json }) {
    if (Option.isNone(to)) {
      const sentence =
        "Say where to begin: --to start. That empties the read model and makes all numbers anew from the beginning of the log, which takes as long as projecting all of it. Nothing was changed."
      return yield* new CliFailure({ sentence, code: EXIT.badRequest })
    }
    if (to.value !== START) {
      const sentence = `--to ${to.value}: there is no going back to a place in between. The numbers are sums over persons whose events lie in all partitions, and what later events added can't be taken out of them. Take --to start.`
      return yield* new CliFailure({ sentence, code: EXIT.badRequest })
    }
    yield* withStore(
      Effect.gen(function* () {
        const { events } = yield* projectShowing("rebuild", { acceptLog }, json)
        if (json) return yield* printJson({ rewound: START, events })
        yield* Console.log("The read model was made anew from the beginning of the log.")
      }),
    )
  }),
).pipe(
  Command.withDescription("Make the read model anew from the beginning of the log, as `rebuild --wipe` does"),
  Command.withExamples([
    { command: "tidemark rewind --to start --accept-log", description: "After the log was restored from a backup" },
  ]),
)
