import { hostname } from "node:os"
import { Context, Effect, Layer, Semaphore, Stream } from "effect"
import type {
  LogDamaged,
  LogUnavailable,
  PositionDiverged,
  UnknownBatchVersion,
  UnknownControlFact,
} from "../../domain/log/errors.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import type { CheckpointConflict, ReadModelUnavailable } from "../../domain/projection/errors.ts"
import { buildName } from "../../domain/projection/buildName.ts"
import { LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"
import type { Settings } from "../../domain/settings.ts"
import { TimeZone } from "../../domain/time/TimeZone.ts"
import { proveCheckpoint } from "../provePosition.ts"
import { readBatches } from "../readBatches.ts"
import { bringInLine } from "./bringInLine.ts"
import type { WorkersStandStill } from "./WorkersStandStill.ts"
import { buildGroups, decidedUpTo, type Group, liveGroup } from "./groups.ts"
import { beginAnew, type BeginOptions } from "./beginAnew.ts"
import { countAllPersons } from "./countPersons.ts"
import { claimPartition } from "./PartitionProjection.ts"
import { prepare } from "./prepare.ts"

/**
 * Events in one step at most: the more, the fewer times a person's facts are written, and, once they are counted, loaded;
 * what is folded but not committed is held in memory and is folded again after a crash.
 */
const STEP_EVENTS_MAX = 250_000

/** Rows of dropped versions that are deleted in one transaction. */
export const SWEEP_ROWS = 50_000

/** What a projection did. */
export interface Projected {
  /** Events folded, duplicates included. */
  readonly events: number
  readonly duplicates: number
  readonly conflicts: number
  /** Names of builds that are through, such as `signups@2`. */
  readonly built: ReadonlyArray<string>
  /** Whether the read model was emptied first, because the project's settings changed. */
  readonly rebuilt: boolean
  /** How many live workers did it; they count for themselves, so nothing is counted here. Absent: this process did it. */
  readonly workers?: number
}

export type ProjectError =
  | LogUnavailable
  | LogDamaged
  | UnknownBatchVersion
  | UnknownControlFact
  | PositionDiverged
  | CheckpointConflict
  | ReadModelUnavailable
  | WorkersStandStill

export interface ProjectOptions {
  /** Called after each batch with the number of events folded since the start. */
  readonly onProgress?: (events: number) => void
  /** Called while metrics are built, with the events that were folded into them, and all that there are to fold. */
  readonly onBuilding?: (events: number, total: number) => void
  /** Called while persons are counted, after the events of a first projection, with the number of distinct ids counted. */
  readonly onCounted?: (distinctIds: number) => void
  /**
   * Whether to wait until metrics that are new are built, where workers do it; default `true`. Who asks for what is live
   * need not. Without workers they are built in any case.
   */
  readonly awaitBuilds?: boolean
}

/** Folds the log into the read model, in this process. */
export class Projector extends Context.Service<
  Projector,
  {
    /** Projects what is in the log and not yet in the read model; builds metrics that are new. */
    readonly project: (options?: ProjectOptions) => Effect.Effect<Projected, ProjectError>
    /** Empties the read model and projects the whole log, unless the log no longer holds what the read model stands on. */
    readonly rebuild: (options?: ProjectOptions & BeginOptions) => Effect.Effect<Projected, ProjectError>
  }
>()("tidemark/app/Projector") {
  static readonly layer = Layer.effect(
    Projector,
    Effect.gen(function* () {
      const services = yield* Effect.context<EventLog | ReadModel>()
      const log = yield* EventLog
      const readModel = yield* ReadModel
      const owner = `${hostname()}:${process.pid}`

      /** Projects all partitions for one group, each to the end of the log or to a place given. */
      const projectGroup = Effect.fnUntraced(function* (
        group: Group,
        settings: Settings,
        upTo: typeof decidedUpTo | null,
        onTaken: (events: number, duplicates: number, conflicts: number) => void,
      ) {
        for (let partition = 0; partition < log.partitions; partition++) {
          const end = upTo === null ? undefined : yield* upTo(partition)
          const projection = yield* claimPartition(group, partition, settings, owner)
          yield* readBatches(partition, {
            after: yield* proveCheckpoint(projection.checkpoint()),
            chain: projection.chain,
            ...(end === undefined ? {} : { upTo: end }),
          }).pipe(
            Stream.runForEach((opened) =>
              Effect.gen(function* () {
                const { events, duplicates, conflicts } = yield* projection.take(opened)
                onTaken(events, duplicates, conflicts)
                if (projection.pending() >= STEP_EVENTS_MAX) yield* projection.commit()
              }),
            ),
          )
          yield* projection.commit()
        }
      })

      const project = Effect.fn("Projector.project")(function* (options: ProjectOptions = {}) {
        const plan = yield* prepare
        const { settings, versions, wiped } = plan
        const zone = TimeZone.of(settings.timeZone)!
        const totals = { events: 0, duplicates: 0, conflicts: 0 }
        let folded = 0
        const progress = (events: number) => options.onProgress?.((folded += events))
        yield* projectGroup(liveGroup(versions, zone), settings, null, (events, duplicates, conflicts) => {
          totals.events += events
          totals.duplicates += duplicates
          totals.conflicts += conflicts
          progress(events)
        })
        yield* countAllPersons(LIVE_GROUP, options.onCounted)
        const builds = buildGroups(versions, zone)
        const eventsUpTo = (group: string) => countEvents(readModel, group, log.partitions)
        const all = builds.length === 0 ? 0 : builds.length * (yield* eventsUpTo(LIVE_GROUP))
        let builtEvents = 0
        for (const { name } of builds) builtEvents += yield* eventsUpTo(name)
        const building = (events: number) => options.onBuilding?.((builtEvents += events), all)
        for (const group of builds) {
          // Other workers may go on meanwhile: then the build follows them a little further.
          do {
            yield* projectGroup(group, settings, decidedUpTo, building)
            yield* countAllPersons(group.name, options.onCounted)
          } while (!(yield* readModel.adopt(group.name)))
        }
        // What was built may have been promoted already, or take the place of what is live now.
        if (builds.length > 0) yield* bringInLine(plan.made)
        while (!(yield* readModel.sweep(SWEEP_ROWS))) continue
        if (!(yield* readModel.isWhole)) yield* readModel.markWhole(plan.made)
        const ids = new Set(builds.flatMap(({ measures }) => measures.map(({ id }) => id)))
        const built = versions.filter(({ id }) => ids.has(id)).map(buildName)
        return { ...totals, built, rebuilt: wiped } satisfies Projected
      })

      const rebuild = Effect.fn("Projector.rebuild")(function* (options: ProjectOptions & BeginOptions = {}) {
        yield* beginAnew(options)
        return yield* project(options)
      })

      // One at a time: callers that come meanwhile wait, and then find little or nothing to do.
      const turn = yield* Semaphore.make(1)
      return Projector.of({
        project: (options) => turn.withPermit(Effect.provideContext(project(options), services)),
        rebuild: (options) => turn.withPermit(Effect.provideContext(rebuild(options), services)),
      })
    }),
  )
}

/** Events that a group has folded, duplicates included. */
export const countEvents = Effect.fnUntraced(function* (
  readModel: ReadModel["Service"],
  group: string,
  partitions: number,
) {
  let events = 0
  for (let partition = 0; partition < partitions; partition++) {
    const counts = (yield* readModel.checkpoint(group, partition))?.counts
    events += (counts?.projected ?? 0) + (counts?.duplicates ?? 0)
  }
  return events
})
