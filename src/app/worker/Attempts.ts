import { Context, Effect, Layer } from "effect"
import type { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { type Attempt, Operations } from "../../domain/projection/Operations.ts"

/**
 * The marks of attempts, as one worker makes them. An end that the database could not be told is told before the next
 * attempt: a worker that lost nothing but its database has not died.
 */
export class Attempts extends Context.Service<
  Attempts,
  {
    readonly begin: (group: string, partition: number) => Effect.Effect<Attempt, ReadModelUnavailable>
    readonly end: (group: string, partition: number) => Effect.Effect<void, ReadModelUnavailable>
  }
>()("tidemark/app/worker/Attempts") {
  static readonly layer = Layer.effect(
    Attempts,
    Effect.gen(function* () {
      const operations = yield* Operations
      const untold = new Set<string>()
      const end = Effect.fnUntraced(function* (group: string, partition: number) {
        const key = `${group}/${partition}`
        untold.add(key)
        yield* operations.endAttempt(group, partition)
        untold.delete(key)
      })
      return Attempts.of({
        begin: Effect.fnUntraced(function* (group, partition) {
          if (untold.has(`${group}/${partition}`)) yield* end(group, partition)
          return yield* operations.beginAttempt(group, partition)
        }),
        end,
      })
    }),
  )
}
