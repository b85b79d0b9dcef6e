import { Context, Effect, Layer, Semaphore, Stream } from "effect"
import { ChainVerifier } from "../domain/log/ChainVerifier.ts"
import {
  type LogDamaged,
  type LogUnavailable,
  PositionDiverged,
  type UnknownBatchVersion,
  type UnknownControlFact,
} from "../domain/log/errors.ts"
import { EventLog } from "../domain/log/EventLog.ts"
import type { Position } from "../domain/log/position.ts"
import { compileMeasure } from "../domain/measure/compile.ts"
import type { Measure } from "../domain/measure/Measure.ts"
import { BUILTIN_METRICS } from "../domain/metric/builtin.ts"
import { completeStep, factsNeeded, resolveIdentities } from "../domain/projection/completeStep.ts"
import { type DedupeEntry, DedupeIndex } from "../domain/projection/DedupeIndex.ts"
import type { CheckpointConflict, ReadModelUnavailable } from "../domain/projection/errors.ts"
import { Fold, type FoldCounts } from "../domain/projection/Fold.ts"
import { type Checkpoint, LIVE_GROUP, type MeasureVersion, ReadModel } from "../domain/projection/ReadModel.ts"
import { sameSettings, type Settings } from "../domain/settings.ts"
import { TimeZone } from "../domain/time/TimeZone.ts"
import { readControl } from "./control.ts"
import { findDuplicates, makeBatchReader } from "./findDuplicates.ts"
import { provePositions } from "./provePosition.ts"
import { newChain, type OpenedBatch, readBatches } from "./readBatches.ts"

/**
 * Events in one step at most: the more, the fewer times a person's facts are loaded and written on a long replay; what
 * is folded but not committed is held in memory and is folded again after a crash.
 */
const STEP_EVENTS_MAX = 500_000

/** What a projection did. */
export interface Projected {
  /** Events folded, duplicates included. */
  readonly events: number
  readonly duplicates: number
  readonly conflicts: number
  /** Names of metrics that went live. */
  readonly built: ReadonlyArray<string>
  /** Whether the read model was emptied first, because the project's settings changed. */
  readonly rebuilt: boolean
}

export type ProjectError =
  | LogUnavailable
  | LogDamaged
  | UnknownBatchVersion
  | UnknownControlFact
  | PositionDiverged
  | CheckpointConflict
  | ReadModelUnavailable

export interface ProjectOptions {
  /** Called after each batch with the number of events folded since the start. */
  readonly onProgress?: (events: number) => void
}

/** Folds the log into the read model, in this process. */
export class Projector extends Context.Service<
  Projector,
  {
    /** Projects what is in the log and not yet in the read model; builds metrics that are new. */
    readonly project: (options?: ProjectOptions) => Effect.Effect<Projected, ProjectError>
    /** Empties the read model and projects the whole log. */
    readonly rebuild: (options?: ProjectOptions) => Effect.Effect<Projected, ProjectError>
  }
>()("tidemark/app/Projector") {
  static readonly layer = Layer.effect(
    Projector,
    Effect.gen(function* () {
      const log = yield* EventLog
      const readModel = yield* ReadModel

      const project = Effect.fn("Projector.project")(function* (options: ProjectOptions = {}) {
        const control = yield* readControl.pipe(Effect.provideService(EventLog, log))
        const held = yield* readModel.settings
        yield* provePositions.pipe(Effect.provideService(EventLog, log), Effect.provideService(ReadModel, readModel))
        const changed = held === null || !sameSettings(held, control.settings)
        if (changed) yield* readModel.wipe(control.settings)
        const latest = [...control.definitions.values()].map((versions) => versions[versions.length - 1]!)
        let versions = yield* readModel.measures
        const wanted = [...Object.values(BUILTIN_METRICS), ...latest]
        const unknown = wanted.filter(({ name, version }) =>
          versions.every(({ definition }) => definition.name !== name || definition.version !== version),
        )
        if (unknown.length > 0) versions = yield* readModel.register(unknown)
        if (versions.every(({ state }) => state === "building")) {
          // Nothing is projected yet, so all metrics begin together.
          yield* readModel.promote(
            LIVE_GROUP,
            versions.map(({ id }) => id),
          )
          versions = yield* readModel.measures
        }
        const groups = planGroups(versions)
        const totals: Totals = { events: 0, duplicates: 0, conflicts: 0, folded: 0 }
        for (const group of groups) {
          // A build that was cut off begins anew: who is who may have changed since, which only live metrics follow.
          if (group.follows) yield* readModel.discardBuilds(group.versions.map(({ id }) => id))
          for (let partition = 0; partition < log.partitions; partition++) {
            yield* projectPartition(group, partition, control.settings, totals, options)
          }
          if (group.follows)
            yield* readModel.promote(
              group.name,
              group.versions.map(({ id }) => id),
            )
        }
        if (control.end !== null && control.end.sum !== (yield* readModel.controlEnd)?.sum) {
          yield* readModel.noteControlEnd(control.end)
        }
        if (!(yield* readModel.isWhole)) yield* readModel.markWhole
        return {
          events: totals.events,
          duplicates: totals.duplicates,
          conflicts: totals.conflicts,
          built: groups.flatMap((group) =>
            group.follows ? group.versions.map(({ definition }) => definition.name) : [],
          ),
          rebuilt: changed && held !== null,
        }
      })

      const projectPartition = Effect.fnUntraced(function* (
        group: Group,
        partition: number,
        settings: Settings,
        totals: Totals,
        options: ProjectOptions,
      ) {
        const zone = TimeZone.of(settings.timeZone)!
        const measures = group.versions.map(({ definition }) => compileMeasure(definition, zone))
        let checkpoint = yield* readModel.checkpoint(group.name, partition)
        const revises = checkpoint !== null && !group.follows
        const end = group.follows
          ? ((yield* readModel.checkpoint(LIVE_GROUP, partition))?.position.sequence ?? 0)
          : null
        const skip = group.follows ? yield* readModel.duplicates(partition) : null
        const dedupe = new DedupeIndex(settings.dedupeHorizonMillis)
        // Loaded with the first new batch: most calls of a program that asks often find none.
        let dedupeLoaded = group.follows || checkpoint === null
        const loadDedupe = Effect.fnUntraced(function* () {
          dedupeLoaded = true
          const from = dedupe.horizonAt(checkpoint!.logTime)
          for (const entry of yield* readModel.dedupeEntries(partition, from)) dedupe.add(entry)
        })
        const chain =
          checkpoint === null
            ? yield* Effect.provideService(newChain(partition), EventLog, log)
            : new ChainVerifier(partition, checkpoint.chain)
        const readBatch = makeBatchReader(log, partition)
        let logTime = checkpoint?.logTime ?? 0
        let draft = newDraft(measures, zone)

        const commit = Effect.fnUntraced(function* () {
          const position = draft.position
          if (position === null) return
          const changes = yield* settle(draft.fold, group, settings, zone)
          const before = checkpoint
          const next: Checkpoint = {
            position,
            chain: chain.state,
            logTime,
            counts: addCounts(before?.counts ?? NO_COUNTS, draft.fold.counts),
          }
          yield* readModel.commit({
            group: group.name,
            partition,
            expected: before?.position ?? null,
            next,
            measures: group.versions.map(({ id }) => id),
            changes,
            intake: draft.fold.intake.deltas(),
            dedupe: draft.dedupe,
            dedupeFrom: dedupe.horizonAt(logTime),
            duplicates: draft.duplicates,
            failures: draft.fold.failures,
            revises,
          })
          dedupe.forgetBefore(dedupe.horizonAt(logTime))
          checkpoint = next
          draft = newDraft(measures, zone)
        })

        const take = Effect.fnUntraced(function* ({ position, batch }: OpenedBatch) {
          const { sequence } = position
          if (!dedupeLoaded) yield* loadDedupe()
          logTime = Math.max(logTime, batch.origin.loggedAt)
          let duplicates: ReadonlySet<number>
          if (skip === null) {
            const found = yield* findDuplicates(dedupe, readBatch, batch, logTime)
            duplicates = found.places
            draft.fold.counts.conflicts += found.conflicts
            totals.conflicts += found.conflicts
            const entry = DedupeIndex.entry(sequence, logTime, batch.ids, (place) => !found.places.has(place))
            dedupe.add(entry)
            draft.dedupe.push(entry)
            if (duplicates.size > 0) draft.duplicates.push({ sequence, places: [...duplicates] })
          } else {
            duplicates = skip.get(sequence) ?? NO_PLACES
          }
          draft.fold.add(partition, sequence, batch, duplicates)
          draft.position = position
          draft.events += batch.count
          totals.folded += batch.count
          if (!group.follows) {
            totals.events += batch.count
            totals.duplicates += duplicates.size
          }
          options.onProgress?.(totals.folded)
          if (draft.events >= STEP_EVENTS_MAX) yield* commit()
        })

        yield* readBatches(partition, {
          after: checkpoint?.position.sequence ?? 0,
          ...(end === null ? {} : { upTo: end }),
          chain,
        }).pipe(Stream.runForEach(take), Effect.provideService(EventLog, log))
        yield* commit()
      })

      /** Joins a fold with what the read model knows. */
      const settle = Effect.fnUntraced(function* (fold: Fold, group: Group, settings: Settings, zone: TimeZone) {
        const known = yield* readModel.identities([...fold.gathered.keys()])
        const resolved = resolveIdentities(fold, known)
        const facts = yield* readModel.facts(
          group.versions.map(({ id }) => id),
          factsNeeded(fold, resolved),
        )
        return completeStep(fold, resolved, facts, settings.mergeWindowMillis, zone)
      })

      const rebuild = Effect.fn("Projector.rebuild")(function* (options: ProjectOptions = {}) {
        const { settings } = yield* readControl.pipe(Effect.provideService(EventLog, log))
        yield* readModel.wipe(settings)
        return yield* project(options)
      })

      // One at a time: callers that come meanwhile wait, and then find little or nothing to do.
      const turn = yield* Semaphore.make(1)
      return Projector.of({
        project: (options) => turn.withPermit(project(options)),
        rebuild: (options) => turn.withPermit(rebuild(options)),
      })
    }),
  )
}

/** Measures that share checkpoints. */
interface Group {
  readonly name: string
  readonly versions: ReadonlyArray<MeasureVersion>
  /** Whether it reads only as far as the default group, counts what that counted, and goes live when it is there. */
  readonly follows: boolean
}

/** The default group with all live metrics, then one for those still to be built. */
const planGroups = (versions: ReadonlyArray<MeasureVersion>): ReadonlyArray<Group> => {
  const live = versions.filter(({ state }) => state === "live")
  const building = versions.filter(({ state }) => state === "building")
  const build = { name: `build-${building.map(({ id }) => id).join("-")}`, versions: building, follows: true }
  return [{ name: LIVE_GROUP, versions: live, follows: false }, ...(building.length > 0 ? [build] : [])]
}

/** What a projection has done so far. */
interface Totals {
  events: number
  duplicates: number
  conflicts: number
  /** Events folded, those of builds included: how far the work is. */
  folded: number
}

/** What is folded and not yet committed. */
interface Draft {
  readonly fold: Fold
  readonly dedupe: Array<DedupeEntry>
  readonly duplicates: Array<{ readonly sequence: number; readonly places: ReadonlyArray<number> }>
  position: Position | null
  events: number
}

const newDraft = (measures: ReadonlyArray<Measure>, zone: TimeZone): Draft => ({
  fold: new Fold(measures, zone),
  dedupe: [],
  duplicates: [],
  position: null,
  events: 0,
})

const NO_PLACES: ReadonlySet<number> = new Set()

const NO_COUNTS: FoldCounts = { projected: 0, duplicates: 0, conflicts: 0, personless: 0 }

const addCounts = (a: FoldCounts, b: FoldCounts): FoldCounts => ({
  projected: a.projected + b.projected,
  duplicates: a.duplicates + b.duplicates,
  conflicts: a.conflicts + b.conflicts,
  personless: a.personless + b.personless,
})
