import { Context, Effect, Layer, Semaphore } from "effect"
import { Limits } from "./limits.ts"

/** A loop that makes steps. */
export interface SteppingLoop {
  /** Whether it is of the default group, which goes first: a build may take its time, what answers must not fall behind. */
  readonly live: boolean
}

/**
 * What the loops of one worker share: how much they hold together, however many they are, and how many of them commit at
 * once, so that a worker with many partitions needs neither more memory nor more connections than one with few.
 */
export class StepRoom extends Context.Service<
  StepRoom,
  {
    /**
     * Whether a loop may begin a step. With much in hand others finish theirs first: few large steps beat many small ones.
     * What builds hold keeps no live loop waiting.
     */
    readonly mayBegin: (loop: SteppingLoop) => boolean
    /**
     * Folds a record in its turn. Builds fold one record at a time, all together, and what else the process has to do comes
     * between two: live steps ask the database a dozen questions, and each answer would wait until all builds have folded.
     */
    readonly folding: <A, E, R>(loop: SteppingLoop, fold: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    /** Says how many events a loop has folded and not committed; `true`: it should commit now. */
    readonly holds: (loop: SteppingLoop, events: number) => boolean
    /** Commits in its turn. Builds have a turn of their own, one at a time, so that neither kind waits for the other. */
    readonly committing: <A, E, R>(loop: SteppingLoop, commit: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
>()("tidemark/app/worker/StepRoom") {
  static readonly layer = Layer.effect(
    StepRoom,
    Effect.gen(function* () {
      const { stepEvents, workerEvents, commitsAtOnce } = yield* Limits
      const turn = yield* Semaphore.make(commitsAtOnce)
      const turnOfBuilds = yield* Semaphore.make(1)
      const foldingOfBuilds = yield* Semaphore.make(1)
      const held = new Map<SteppingLoop, number>()
      let total = 0
      let ofLive = 0
      return StepRoom.of({
        mayBegin: (loop) => held.has(loop) || (loop.live ? ofLive : total) < workerEvents / 2,
        folding: ({ live }, fold) => (live ? fold : foldingOfBuilds.withPermit(Effect.ensuring(fold, Effect.yieldNow))),
        holds: (loop, events) => {
          const more = events - (held.get(loop) ?? 0)
          total += more
          if (loop.live) ofLive += more
          if (events === 0) held.delete(loop)
          else held.set(loop, events)
          // When all is taken, it is for those to commit who hold more than their share.
          return events >= stepEvents || (total >= workerEvents && events * held.size >= total)
        },
        committing: ({ live }, commit) => (live ? turn : turnOfBuilds).withPermit(commit),
      })
    }),
  )
}
