import { Context, Effect, Metric } from "effect"
import { ChainVerifier } from "../../domain/log/ChainVerifier.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import type { Position } from "../../domain/log/position.ts"
import { type DedupeEntry, DedupeIndex } from "../../domain/projection/DedupeIndex.ts"
import { CheckpointConflict } from "../../domain/projection/errors.ts"
import { Fold, type FoldCounts } from "../../domain/projection/Fold.ts"
import { type Checkpoint, LIVE_GROUP, ReadModel } from "../../domain/projection/ReadModel.ts"
import { settle } from "../../domain/projection/settle.ts"
import { settleAlone } from "../../domain/projection/settleAlone.ts"
import { sameSettings, type Settings } from "../../domain/settings.ts"
import { TimeZone } from "../../domain/time/TimeZone.ts"
import { dedupeBatch, makeBatchReader } from "../dedupeBatch.ts"
import type { OpenedBatch } from "../readBatches.ts"
import { newChain } from "../readBatches.ts"
import { type Group, membersOf } from "./groups.ts"
import { stepEvents } from "./stepMetrics.ts"

/**
 * Steps of so many distinct ids get the keys of new ones beforehand, so that two of them don't meet in these
 * (docs/decisions/0058-keys-are-given-beforehand.md).
 */
export const KeysApart = Context.Reference<number>("tidemark/app/projection/KeysApart", { defaultValue: () => 500 })

/** What a partition's projection has taken in since it began, or what one batch added. */
export interface Taken {
  readonly events: number
  readonly duplicates: number
  readonly conflicts: number
  /** Events that a measure could not fold. */
  readonly failed: number
}

/**
 * Claims one partition for one group, and gives the means to project it: batches are taken in order and folded in memory,
 * and committed in steps. After a failure it is not to be used any more: claim again, which begins at the checkpoint.
 */
export const claimPartition = Effect.fn("claimPartition")(function* (
  group: Group,
  partition: number,
  settings: Settings,
  owner: string,
  /** Places by sequence that are left out: see `Operations`. */
  isolated: ReadonlyMap<number, ReadonlySet<number>> = new Map(),
) {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  const keysApart = yield* KeysApart
  const zone = TimeZone.of(settings.timeZone)!
  const measures = group.measures.map(({ measure }) => measure)
  const rules = { mergeWindowMillis: settings.mergeWindowMillis, zone }
  const { epoch, checkpoint: claimed } = yield* readModel.claim(group.name, partition, owner)
  let checkpoint = claimed

  // The plan was read before the claim. Until then somebody may have emptied the tables for other settings, or ended the
  // build; from the claim on, whoever does so takes the claim away too.
  if (!(yield* isStillPlanned(group, settings))) {
    return yield* new CheckpointConflict({ group: group.name, partition, expected: claimed?.position ?? null, epoch })
  }

  // The default group decides what is a duplicate; the others count what it counted.
  const decides = group.name === LIVE_GROUP
  const counted = decides ? null : yield* readModel.duplicates(partition, claimed?.position.sequence ?? 0)
  const answers = new Set(group.measures.filter(({ published }) => published).map(({ id }) => id))
  /** Whether somebody may have seen the cells: once so, it stays so, since a wipe ends the claim. */
  let published = false
  const dedupe = new DedupeIndex(settings.dedupeHorizonMillis)
  // Loaded with the first new batch: most calls of a program that asks often find none.
  let dedupeLoaded = !decides || claimed === null
  const loadDedupe = Effect.fnUntraced(function* () {
    dedupeLoaded = true
    const from = dedupe.horizonAt(checkpoint!.logTime)
    for (const entry of yield* readModel.dedupeEntries(partition, from)) dedupe.add(entry)
  })
  const chain = claimed === null ? yield* newChain(partition) : new ChainVerifier(partition, claimed.chain)
  const readBatch = makeBatchReader(log, partition)
  let logTime = claimed?.logTime ?? 0
  let draft = newDraft(new Fold(measures, zone))

  /** Takes in one batch, the next of the partition. */
  const take = Effect.fnUntraced(function* ({ position, batch }: OpenedBatch) {
    const { sequence } = position
    if (!dedupeLoaded) yield* loadDedupe()
    logTime = Math.max(logTime, batch.origin.loggedAt)
    let duplicates = counted?.get(sequence) ?? NO_PLACES
    let conflicts = 0
    if (decides) {
      const found = yield* dedupeBatch(dedupe, readBatch, sequence, batch, logTime)
      duplicates = found.places
      conflicts = found.conflicts
      draft.fold.counts.conflicts += conflicts
      draft.dedupe.push(found.entry)
      if (duplicates.size > 0) draft.duplicates.push({ sequence, places: [...duplicates] })
    }
    const failures = draft.fold.failures.length
    draft.fold.add(partition, sequence, batch, duplicates, isolated.get(sequence))
    draft.position = position
    draft.events += batch.count
    const failed = new Set(draft.fold.failures.slice(failures).map(({ place }) => place)).size
    return { events: batch.count, duplicates: duplicates.size, conflicts, failed } satisfies Taken
  })

  /** Does with some events of a batch what a step would do, and throws the result away. */
  const rehearse = Effect.fnUntraced(function* ({ position, batch }: OpenedBatch, first: number, last: number) {
    const others = new Set<number>(isolated.get(position.sequence))
    for (let place = 0; place < batch.count; place++) if (place < first || place >= last) others.add(place)
    const fold = new Fold(measures, zone)
    fold.add(partition, position.sequence, batch, NO_PLACES, others)
    yield* settleAlone(fold, group.measures, rules)
  })

  /** Commits what was taken in since the last commit, if anything. */
  const commit = Effect.fn("PartitionProjection.commit")(function* () {
    const { fold, position } = draft
    if (position === null) return
    published ||= decides && (yield* readModel.isWhole)
    const before = checkpoint
    const counts = addCounts(before?.counts ?? NO_COUNTS, fold.counts)
    const place = { group: group.name, partition, epoch, expected: before?.position ?? null }
    // While nobody is counted that is all that most steps need of who is who.
    const apart = !published || fold.gathered.size >= keysApart
    const keys = apart ? yield* readModel.keysOf(place, [...fold.gathered.keys()]) : null
    const next: Checkpoint = { position, chain: chain.state, logTime, counts }
    yield* readModel.commit(
      {
        ...place,
        next,
        measures: group.measures.map(({ id }) => id),
        intake: fold.intake.deltas(),
        dedupe: draft.dedupe,
        dedupeFrom: dedupe.horizonAt(logTime),
        duplicates: draft.duplicates,
        failures: fold.failures,
        revises: (measure) => published && answers.has(measure),
      },
      (known) => settle(fold, known, group.measures, rules, keys),
    )
    yield* Metric.update(stepEvents, draft.events)
    checkpoint = next
    draft = newDraft(new Fold(measures, zone))
  })

  return {
    chain,
    take,
    rehearse,
    commit,
    epoch,
    /** Events taken in and not committed. */
    pending: () => draft.events,
    /** Whether anything was taken in and not committed, be it without events. */
    isAhead: () => draft.position !== null,
    /** Where the projection stands: what is committed. */
    checkpoint: () => checkpoint,
  }
})

/** Whether the read model is still under these settings, and the group still stands for the same measures. */
const isStillPlanned = Effect.fnUntraced(function* (group: Group, settings: Settings) {
  const readModel = yield* ReadModel
  const held = yield* readModel.settings
  if (held === null || !sameSettings(held, settings)) return false
  const versions = membersOf(group.name, yield* readModel.measures)
  return (
    versions.length === group.measures.length &&
    group.measures.every(({ id, measure, follows }, n) => {
      const { name, version } = measure.definition
      const found = versions[n]!
      return (
        found.id === id &&
        found.definition.name === name &&
        found.definition.version === version &&
        (found.state === "building") === (follows || group.name !== LIVE_GROUP)
      )
    })
  )
})

export type PartitionProjection = Effect.Success<ReturnType<typeof claimPartition>>

/** What is folded and not yet committed. */
interface Draft {
  readonly fold: Fold
  readonly dedupe: Array<DedupeEntry>
  readonly duplicates: Array<{ readonly sequence: number; readonly places: ReadonlyArray<number> }>
  position: Position | null
  events: number
}

const newDraft = (fold: Fold): Draft => ({ fold, dedupe: [], duplicates: [], position: null, events: 0 })

const NO_PLACES: ReadonlySet<number> = new Set()

const NO_COUNTS: FoldCounts = { projected: 0, duplicates: 0, conflicts: 0, personless: 0 }

const addCounts = (a: FoldCounts, b: FoldCounts): FoldCounts => ({
  projected: a.projected + b.projected,
  duplicates: a.duplicates + b.duplicates,
  conflicts: a.conflicts + b.conflicts,
  personless: a.personless + b.personless,
})
