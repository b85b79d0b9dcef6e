import { Effect } from "effect"
import { EventLog } from "../../domain/log/EventLog.ts"
import { Projector } from "../Projector.ts"
import { makeProgress } from "./progress.ts"

/** Projects (or rebuilds) with a progress bar. */
export const projectShowing = (verb: "project" | "rebuild") =>
  Effect.scoped(
    Effect.gen(function* () {
      const log = yield* EventLog
      const projector = yield* Projector
      const total = (yield* log.status)
        .filter(({ partition }) => partition >= 0)
        .reduce((sum, { events }) => sum + events, 0)
      const progress = yield* makeProgress(verb === "project" ? "Projecting" : "Rebuilding")
      const options = { onProgress: (done: number) => progress.report(done, verb === "rebuild" ? total : undefined) }
      return yield* verb === "project" ? projector.project(options) : projector.rebuild(options)
    }),
  )
