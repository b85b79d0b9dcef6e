import { Effect, Layer } from "effect"
import { EventLog } from "../../domain/log/EventLog.ts"
import { Operations, type Outlook } from "../../domain/projection/Operations.ts"
import { LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"
import { readControl } from "../control.ts"
import { type Projected, Projector, type ProjectOptions } from "../projection/Projector.ts"
import { rewind } from "./operate.ts"
import { pauseOf } from "./Watch.ts"
import { WorkersStandStill } from "./WorkersStandStill.ts"

/** Between two looks at how far the workers are, ms. */
const LOOK_MILLIS = 100

/**
 * The projector of a store that workers may share: while any is alive, partitions are left to them, and to project is to
 * wait until they have. Without workers it projects in this process.
 */
export const layerProjectorBesideWorkers = Layer.effect(
  Projector,
  Effect.gen(function* () {
    const alone = yield* Projector
    const operations = yield* Operations
    const readModel = yield* ReadModel
    const log = yield* EventLog
    const services = yield* Effect.context<EventLog | ReadModel>()

    const liveNames = Effect.map(
      readModel.measures,
      (versions) => new Set(versions.filter(({ state }) => state === "live").map(({ definition: { name } }) => name)),
    )

    /** Waits until the workers have done what there was to do when it was called; `null` when none is left to do it. */
    const awaitWorkers = Effect.fnUntraced(function* (workers: number) {
      const before = yield* liveNames
      const ends = (yield* log.status).flatMap(({ partition, last }) => (partition < 0 || last === null ? [] : [last]))
      const { end } = yield* readControl
      for (;;) {
        const outlook = yield* operations.look
        const behind = ends.filter(({ partition, sequence }) => sequenceOf(outlook, partition) < sequence)
        const aligned = end === null || (yield* readModel.controlEnd)?.sum === end.sum
        if (behind.length === 0 && aligned && outlook.whole && outlook.groups.every((name) => name === LIVE_GROUP)) {
          const built = [...(yield* liveNames)].filter((name) => !before.has(name))
          return { events: 0, duplicates: 0, conflicts: 0, built, rebuilt: false, workers } satisfies Projected
        }
        const [stop] = outlook.stops
        if (stop !== undefined) return yield* new WorkersStandStill({ why: stop.sentence })
        for (const { partition } of behind) {
          const pause = pauseOf(outlook, LIVE_GROUP, partition)
          if (pause !== undefined && pause.cause !== "promotion") {
            return yield* new WorkersStandStill({ why: pause.sentence })
          }
        }
        if ((yield* operations.liveWorkers).length === 0) return null
        yield* Effect.sleep(LOOK_MILLIS)
      }
    })

    /** Leaves it to the workers if there are any. */
    const unlessAlone = <E>(
      byWorkers: Effect.Effect<void, E, EventLog | ReadModel>,
      here: ReturnType<typeof alone.project>,
      options?: ProjectOptions,
    ) =>
      Effect.gen(function* () {
        const workers = (yield* operations.liveWorkers).length
        if (workers === 0) return yield* here
        yield* byWorkers
        return (yield* awaitWorkers(workers)) ?? (yield* alone.project(options))
      }).pipe(Effect.provideContext(services))

    return Projector.of({
      project: (options) => unlessAlone(Effect.void, alone.project(options), options),
      rebuild: (options) => unlessAlone(rewind(options), alone.rebuild(options), options),
    })
  }),
).pipe(Layer.provide(Projector.layer))

const sequenceOf = ({ ownerships }: Outlook, partition: number): number =>
  ownerships.find((it) => it.group === LIVE_GROUP && it.partition === partition)?.sequence ?? 0
