import { Effect, Layer } from "effect"
import { EventLog, isEvents } from "../../domain/log/EventLog.ts"
import type { Position } from "../../domain/log/position.ts"
import { isOverByItself, Operations, type Outlook } from "../../domain/projection/Operations.ts"
import { buildName } from "../../domain/projection/buildName.ts"
import { LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"
import { readControl } from "../control.ts"
import {
  countEvents,
  type Projected,
  type ProjectError,
  Projector,
  type ProjectOptions,
} from "../projection/Projector.ts"
import { COORDINATOR } from "./coordinator.ts"
import { forgetStops, rewind } from "./operate.ts"
import { pauseOf } from "./Watch.ts"
import { WorkersStandStill } from "../projection/WorkersStandStill.ts"

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
    const services = yield* Effect.context<EventLog | ReadModel | Operations>()

    const builtNames = Effect.map(
      readModel.measures,
      (versions) => new Set(versions.filter(({ state }) => state !== "building").map(buildName)),
    )

    /** Waits until the workers have done what there was to do when it was called; `null` when none is left to do it. */
    const awaitWorkers = Effect.fnUntraced(function* (workers: number, options: ProjectOptions) {
      const { awaitBuilds = true } = options
      const before = yield* builtNames
      const ends = (yield* log.status).flatMap(({ partition, last }) =>
        isEvents(partition) && last !== null ? [last] : [],
      )
      const { end } = yield* readControl
      let eventsInAll: number | null = null
      for (;;) {
        // Asked first: who finds the control facts taken in then sees the groups that they made.
        // At that place or past it, since more facts may have come meanwhile.
        const taken = (yield* readModel.controlEnd)?.position.sequence ?? 0
        const aligned = end === null || taken >= end.position.sequence
        const outlook = yield* operations.look
        // Also when nothing seems to be left: a log that lost its end looks as if everything of it were projected.
        const halted = outlook.stops.find(({ group }) => group === COORDINATOR)
        if (halted !== undefined) return yield* new WorkersStandStill({ why: halted.sentence })

        const left = [...liveLeft(outlook, ends), ...(awaitBuilds ? buildsLeft(outlook) : [])]
        const building = outlook.groups.some((name) => name !== LIVE_GROUP)
        if (left.length === 0 && aligned && outlook.whole && !(awaitBuilds && building)) {
          const built = [...(yield* builtNames)].filter((name) => !before.has(name))
          return { events: 0, duplicates: 0, conflicts: 0, built, rebuilt: false, workers } satisfies Projected
        }
        if (building && options.onBuilding !== undefined) {
          eventsInAll ??= yield* countEvents(readModel, LIVE_GROUP, log.partitions)
          const { share, groups } = buildShare(outlook)
          options.onBuilding(Math.round(share * eventsInAll * groups), eventsInAll * groups)
        }
        for (const place of left) {
          const why = whyNot(outlook, place)
          if (why !== undefined) return yield* new WorkersStandStill({ why })
        }
        if ((yield* operations.liveWorkers).length === 0) return null
        yield* Effect.sleep(LOOK_MILLIS)
      }
    })

    /** Nobody projects what is paused: no worker, no program without workers, and nothing is emptied for it. */
    const refusePaused = Effect.gen(function* () {
      const { pauses } = yield* operations.look
      const pause = pauses.find((it) => !isOverByItself(it))
      if (pause !== undefined) {
        return yield* new WorkersStandStill({ why: `${pause.sentence} The read model was left as it is.` })
      }
    })

    /** Leaves it to the workers if there are any. */
    const unlessAlone = <E>(
      byWorkers: Effect.Effect<void, E, EventLog | ReadModel | Operations>,
      here: Effect.Effect<Projected, ProjectError, EventLog | ReadModel | Operations>,
      options: ProjectOptions = {},
    ) =>
      Effect.gen(function* () {
        const workers = (yield* operations.liveWorkers).length
        if (workers === 0) return yield* Effect.andThen(refusePaused, here)
        yield* byWorkers
        const waited = yield* awaitWorkers(workers, options)
        return waited ?? (yield* Effect.andThen(refusePaused, alone.project(options)))
      }).pipe(Effect.provideContext(services))

    /** What a worker has overtaken that was started just now is left to it; who else came first has to be let be. */
    const orByWorkers = (projecting: Effect.Effect<Projected, ProjectError>, options: ProjectOptions = {}) =>
      Effect.catch(projecting, (error) =>
        Effect.gen(function* () {
          const workers = error._tag === "CheckpointConflict" ? (yield* operations.liveWorkers).length : 0
          return (workers === 0 ? null : yield* awaitWorkers(workers, options)) ?? (yield* Effect.fail(error))
        }),
      )

    return Projector.of({
      project: (options) => unlessAlone(Effect.void, orByWorkers(alone.project(options), options), options),
      rebuild: (options) =>
        unlessAlone(
          Effect.andThen(refusePaused, rewind(options)),
          Effect.tap(orByWorkers(alone.rebuild(options), options), forgetStops),
          options,
        ),
    })
  }),
).pipe(Layer.provide(Projector.layer))

/** A (group, partition) that is not yet where it is to be. */
interface GroupPartition {
  readonly group: string
  readonly partition: number
}

const reachedBy = ({ ownerships }: Outlook, { group, partition }: GroupPartition): number =>
  ownerships.find((it) => it.group === group && it.partition === partition)?.sequence ?? 0

/** Where the default group has not come to the ends given. */
const liveLeft = (outlook: Outlook, ends: ReadonlyArray<Position>): ReadonlyArray<GroupPartition> =>
  ends.flatMap(({ partition, sequence }) => {
    const place = { group: LIVE_GROUP, partition }
    return reachedBy(outlook, place) < sequence ? [place] : []
  })

/** Where groups that build have not come to where the default group stands. */
const buildsLeft = (outlook: Outlook): ReadonlyArray<GroupPartition> =>
  outlook.groups
    .filter((group) => group !== LIVE_GROUP)
    .flatMap((group) =>
      outlook.ownerships
        .filter((live) => live.group === LIVE_GROUP)
        .map(({ partition, sequence }) => ({ group, partition, sequence }))
        .filter((place) => reachedBy(outlook, place) < place.sequence),
    )

/** How many groups build, and how far all of them are, as a share of the records to be read. */
const buildShare = ({ groups, ownerships }: Outlook) => {
  const building = groups.filter((group) => group !== LIVE_GROUP)
  const upTo = (group: string) =>
    ownerships.filter((it) => it.group === group).reduce((sum, { sequence }) => sum + sequence, 0)
  const all = Math.max(1, upTo(LIVE_GROUP) * building.length)
  return { share: Math.min(1, building.reduce((sum, group) => sum + upTo(group), 0) / all), groups: building.length }
}

/** Why a place is not gone on from, if nobody goes on from it until somebody acts. */
const whyNot = (outlook: Outlook, { group, partition }: GroupPartition): string | undefined => {
  const stop = outlook.stops.find((it) => it.group === group && it.partition === partition)
  const pauses = outlook.pauses.filter((it) => !isOverByItself(it))
  return (stop ?? pauseOf({ ...outlook, pauses }, group, partition))?.sentence
}
