import { Effect } from "effect"
import { ReplayProgress } from "../asOf/Replays.ts"
import { countLogged } from "../countLogged.ts"
import type { BeginOptions } from "../projection/beginAnew.ts"
import { type ProjectOptions, Projector } from "../projection/Projector.ts"
import { makeProgress } from "./progress.ts"

/** How far a projection is, while the scope is open: what a use case takes that projects. */
export const showingProjection = Effect.fnUntraced(function* (json: boolean, total?: number) {
  const format = json ? "json" : "text"
  const projecting = yield* makeProgress("Projecting", "events", format)
  const building = yield* makeProgress("Building", "events", format)
  const counting = yield* makeProgress("Counting persons", "distinct ids", format)
  return {
    onProgress: (done) => projecting.report(done, total),
    onBuilding: (done, all) => building.report(done, all),
    onCounted: (done) => counting.report(done),
  } satisfies ProjectOptions
})

/** Projects, or makes the read model anew, showing how far it is. */
export const projectShowing = (verb: "project" | "rebuild", how: BeginOptions & ProjectOptions = {}, json = false) =>
  Effect.scoped(
    Effect.gen(function* () {
      const projector = yield* Projector
      const total = verb === "rebuild" ? yield* countLogged : null
      const showing = yield* showingProjection(json, total ?? undefined)
      return yield* projector[verb]({ ...how, ...showing })
    }),
  )

/**
 * Projects what a command has put into the log. Workers that stand still are no failure of it: it is in the log, and `waiting`
 * says why nothing came of it yet.
 */
export const projectUnlessStill = (how: ProjectOptions = {}, json = false) =>
  projectShowing("project", how, json).pipe(
    Effect.map((projected) => ({ projected, waiting: null })),
    Effect.catchTag("WorkersStandStill", ({ message }) => Effect.succeed({ projected: null, waiting: message })),
  )

/** Shows how far a replay is, for questions that have to wait for one. */
export const showingReplay = <A, E, R>(json: boolean, question: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(question, ReplayProgress, showingProjection(json))
