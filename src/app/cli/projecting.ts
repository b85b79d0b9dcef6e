import { Effect } from "effect"
import { EventLog } from "../../domain/log/EventLog.ts"
import { ReplayProgress } from "../asOf/Replays.ts"
import type { BeginOptions } from "../projection/beginAnew.ts"
import { type ProjectOptions, Projector } from "../projection/Projector.ts"
import { makeProgress } from "./progress.ts"

/** Projects (or rebuilds) with a progress bar. */
export const projectShowing = (verb: "project" | "rebuild", how: BeginOptions & ProjectOptions = {}) =>
  Effect.scoped(
    Effect.gen(function* () {
      const log = yield* EventLog
      const projector = yield* Projector
      const counts = (yield* log.status).filter(({ partition }) => partition >= 0).map(({ events }) => events)
      // A log that can't count its events without reading them gives no total to show.
      const total = counts.every((events) => events !== null)
        ? counts.reduce((sum, events) => sum + events, 0)
        : undefined
      const progress = yield* makeProgress(verb === "project" ? "Projecting" : "Rebuilding")
      const onProgress = (done: number) => progress.report(done, verb === "rebuild" ? total : undefined)
      const counting = yield* makeProgress("Counting persons", "distinct ids")
      return yield* projector[verb]({ ...how, onProgress, onCounted: (done) => counting.report(done) })
    }),
  )

/** Shows how far a replay is, for questions that have to wait for one. */
export const showingReplay = <A, E, R>(question: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.scoped(
    Effect.gen(function* () {
      const progress = yield* makeProgress("Replaying")
      const counting = yield* makeProgress("Counting persons", "distinct ids")
      return yield* Effect.provideService(question, ReplayProgress, {
        onProgress: (done) => progress.report(done),
        onCounted: (done) => counting.report(done),
      })
    }),
  )
