import { Effect } from "effect"
import { Argument } from "effect/cli"
import type { BadDefinition } from "../../../metrics/BadDefinition.ts"
import { CliFailure, EXIT } from "../../failure.ts"

/** The files that a command about definitions takes. */
export const files = Argument.String("file").pipe(
  Argument.withDescription("Files of metric definitions (YAML, TypeScript, JavaScript), or directories of them"),
  Argument.variadic({ min: 1 }),
)

/** Every problem of bad definitions in a line of its own. */
export const inLines = <A, E extends { readonly _tag: string; readonly message: string }, R>(
  effect: Effect.Effect<A, E | BadDefinition, R>,
): Effect.Effect<A, E | CliFailure, R> =>
  Effect.mapError(effect, (error) =>
    error._tag === "BadDefinition"
      ? new CliFailure({ sentence: (error as BadDefinition).message, code: EXIT.badRequest })
      : (error as E),
  )
