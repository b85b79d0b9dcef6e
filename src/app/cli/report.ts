import { Cause, Console, Effect, type Exit, Runtime } from "effect"
import { CliError, CliOutput } from "effect/cli"
import { EXIT } from "./failure.ts"

/**
 * A call that can't be understood is the caller's mistake, so it is said in a sentence on standard error; standard
 * output stays empty, for programs that read it.
 */
export const layerPresenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.gen(function* () {
          const formatter = yield* CliOutput.Formatter
          yield* Console.error(formatter.formatErrors(event.errors))
          yield* Console.error(`  See: ${event.commandPath.join(" ")} --help`)
        })
      : CliOutput.defaultPresenter.present(event),
})

/** What no command expects still ends in a sentence: a defect's own words, without its stack. */
export const reportDefect = <E>(cause: Cause.Cause<E>): Effect.Effect<void> => {
  const defect = cause.reasons.find(Cause.isDieReason)
  if (defect === undefined) return Effect.void
  const words = defect.defect instanceof Error ? defect.defect.message : String(defect.defect)
  return Console.error(
    `\nERROR\n  Tidemark failed in a way that it does not know: ${words}. What was acknowledged is safe in the log.`,
  )
}

/** Exit codes of the commands' own failures, and of calls that can't be understood. */
export const teardown: Runtime.Teardown = <E, A>(exit: Exit.Exit<E, A>, onExit: (code: number) => void) =>
  Runtime.defaultTeardown(exit, (code) => onExit(misuseCode(exit) ?? code))

/** The code of a call that can't be understood; `null` for any other end. */
const misuseCode = (exit: Exit.Exit<unknown, unknown>): number | null => {
  if (exit._tag === "Success") return null
  const error = Cause.squash(exit.cause)
  if (!CliError.isCliError(error) || error._tag !== "ShowHelp" || error.errors.length === 0) return null
  // What is a bad request elsewhere means changes there.
  return error.commandPath.join(" ") === "tidemark metrics plan" ? EXIT.failed : EXIT.badRequest
}
