import { Console, Effect, Result, Schedule } from "effect"
import { Command, Flag } from "effect/cli"
import { provePositions } from "../../provePosition.ts"
import { status } from "../../status/status.ts"
import { json, withStore } from "../options.ts"
import { printJson, visible } from "../print.ts"
import { formatStatus } from "../showStatus.ts"

/** From one drawing of `--watch` to the next. */
const REDRAW = "2 seconds"

/** Puts what follows at the top of an empty screen. */
const CLEAR = "\u001b[H\u001b[2J\u001b[3J"

/**
 * What there is to see, and what is wrong with the log: it must hold what the read model was made from, or its numbers would
 * be of another history.
 */
const look = Effect.gen(function* () {
  const found = yield* status()
  return { found, proven: yield* Effect.result(provePositions) }
})

export const statusCommand = Command.make(
  "status",
  {
    watch: Flag.Boolean("watch").pipe(
      Flag.withAlias("w"),
      Flag.withDescription("Draw it anew every two seconds until stopped; with --json a line each"),
      Flag.withDefault(false),
    ),
    json,
  },
  ({ watch, json }) => withStore(watch ? watching(json) : showing(json)),
).pipe(
  Command.withDescription("Show what is in the log, how far the numbers are, and who works on them"),
  Command.withExamples([
    { command: "tidemark status", description: "Once" },
    { command: "tidemark status --watch", description: "Until stopped" },
  ]),
)

/** Shown also where something is wrong, since that is when one looks. */
const showing = Effect.fnUntraced(function* (asJson: boolean) {
  const { found, proven } = yield* look
  yield* asJson ? printJson(found) : Console.log(formatStatus(found))
  yield* Effect.fromResult(proven)
})

/** What fails is shown and tried again: this is what one looks at while things are down. */
const watching = (asJson: boolean) =>
  look.pipe(
    Effect.map(({ found, proven }) => {
      const error = Result.isFailure(proven) ? proven.failure.message : null
      if (asJson) return JSON.stringify(error === null ? found : { ...found, error })
      return error === null ? formatStatus(found) : `${formatStatus(found)}\n\n${visible(error)}`
    }),
    Effect.catch(({ message }) =>
      Effect.succeed(asJson ? JSON.stringify({ error: message }) : visible(message.replaceAll(/\s*\n\s*/g, " "))),
    ),
    Effect.flatMap((text) => Console.log(asJson || !process.stdout.isTTY ? text : `${CLEAR}${text}`)),
    Effect.repeat(Schedule.spaced(REDRAW)),
  )
