import { hash } from "node:crypto"
import { rmSync } from "node:fs"
import { Context, Effect, Layer, type Scope, Semaphore } from "effect"
import { type Cut, formatCut } from "../../domain/log/cut.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import type { ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { ReadModel } from "../../domain/projection/ReadModel.ts"
import type { ReadModelQueries } from "../../domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS } from "../../domain/settings.ts"
import type { StoreInUse, StoreUnavailable } from "../../infra/embedded/errors.ts"
import { layerPglite } from "../../infra/embedded/PgliteClient.ts"
import { SCHEMA_VERSION } from "../../infra/sql/migrations.ts"
import { layerSqlReadModel } from "../../infra/sql/SqlReadModel.ts"
import { layerSqlReadModelQueries } from "../../infra/sql/SqlReadModelQueries.ts"
import { type ProjectError, Projector, type ProjectOptions } from "../projection/Projector.ts"
import { logUpTo } from "./logUpTo.ts"
import { claimSlot, type Slot } from "./slots.ts"

export type ReplayError = ProjectError | ReadModelUnavailable | StoreInUse | StoreUnavailable

/** What questions to a replay are asked of: a log that ends at its cut, and a read model that holds all of it. */
export type Replayed = EventLog | ReadModel | ReadModelQueries

/** What hears how far a replay is that a question has to wait for; made when one begins, and held until it is through. */
export const ReplayProgress = Context.Reference<Effect.Effect<ProjectOptions, never, Scope.Scope>>(
  "tidemark/app/ReplayProgress",
  { defaultValue: () => Effect.succeed({}) },
)

/**
 * Read models of their own that hold the log up to a cut, to answer as of there. They are made by the projector that makes
 * the live one, on the embedded engine, and the last few are kept.
 */
export class Replays extends Context.Service<
  Replays,
  {
    /** Asks a replay up to a cut, which is made first if it isn't there. One question at a time. */
    readonly ask: <A, E>(cut: Cut, question: Effect.Effect<A, E, Replayed>) => Effect.Effect<A, E | ReplayError>
  }
>()("tidemark/app/asOf/Replays") {
  /** Keeps the replays below a directory, which processes may share. */
  static readonly layer = (directory: string): Layer.Layer<Replays, never, EventLog> =>
    Layer.effect(
      Replays,
      Effect.gen(function* () {
        const log = yield* EventLog
        // Each has a Postgres in this process's memory.
        const turn = yield* Semaphore.make(1)
        return Replays.of({
          ask: (cut, question) =>
            Effect.gen(function* () {
              const slot = yield* claimSlot(directory, keyOf(log, cut))
              const services = yield* open(slot, logUpTo(log, cut))
              return yield* Effect.andThen(complete(slot), question).pipe(Effect.provideContext(services))
            }).pipe(Effect.scoped, (asked) => turn.withPermit(asked)),
        })
      }),
    )
}

/** What a replay depends on beside the code. */
const keyOf = (log: EventLog["Service"], cut: Cut): string =>
  hash("sha256", `${SCHEMA_VERSION} ${log.incarnation} ${formatCut(cut)}`, "hex")

/** Opens the read model of a slot; one that can't be opened is thrown away, since it holds nothing that the log does not. */
const open = Effect.fnUntraced(function* ({ database, forget }: Slot, log: EventLog["Service"]) {
  // Fresh: these layers are also those of the live read model.
  const opened = Layer.build(Layer.fresh(layerReplay(database, log)))
  const throwAway = Effect.andThen(
    forget,
    Effect.sync(() => rmSync(database, { recursive: true, force: true })),
  )
  return yield* Effect.catch(opened, () => Effect.andThen(throwAway, opened))
})

const layerReplay = (database: string, log: EventLog["Service"]) =>
  Projector.layer.pipe(
    Layer.provideMerge(layerSqlReadModelQueries),
    Layer.provideMerge(layerSqlReadModel),
    Layer.provideMerge(layerPglite(database)),
    Layer.provideMerge(Layer.succeed(EventLog, log)),
  )

/** Makes the replay, or goes on with one that was cut off, unless it is whole. */
const complete = Effect.fnUntraced(function* ({ holds, forget, name }: Slot) {
  const readModel = yield* ReadModel
  if (holds && (yield* readModel.isWhole)) return
  const made = yield* readModel.made
  if (!holds && made !== null) {
    yield* forget
    yield* readModel.wipe(DEFAULT_SETTINGS, made)
  }
  yield* name
  const projector = yield* Projector
  yield* Effect.scoped(Effect.flatMap(yield* ReplayProgress, projector.project))
})
