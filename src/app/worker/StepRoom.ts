import { Context, Effect, Layer, Semaphore } from "effect"
import { Limits } from "./limits.ts"

/**
 * What the loops of one worker share: how much they hold together, however many they are, and how many of them commit at
 * once, so that a worker with many partitions needs neither more memory nor more connections than one with few.
 */
export class StepRoom extends Context.Service<
  StepRoom,
  {
    /** Says how many events a loop has folded and not committed; `true`: it should commit now. */
    readonly holds: (loop: object, events: number) => boolean
    readonly committing: <A, E, R>(commit: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
>()("tidemark/app/worker/StepRoom") {
  static readonly layer = Layer.effect(
    StepRoom,
    Effect.gen(function* () {
      const { stepEvents, workerEvents, commitsAtOnce } = yield* Limits
      const turn = yield* Semaphore.make(commitsAtOnce)
      const held = new Map<object, number>()
      let total = 0
      return StepRoom.of({
        holds: (loop, events) => {
          total += events - (held.get(loop) ?? 0)
          if (events === 0) held.delete(loop)
          else held.set(loop, events)
          // When all is taken, it is for those to commit who hold more than their share.
          return events >= stepEvents || (total >= workerEvents && events * held.size >= total)
        },
        committing: (commit) => turn.withPermit(commit),
      })
    }),
  )
}
