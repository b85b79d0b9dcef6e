import { Context, type Effect } from "effect"
import type { DistinctId } from "../identity/distinctId.ts"
import type { ChainState } from "../log/ChainVerifier.ts"
import type { Position } from "../log/position.ts"
import type { MetricDefinition } from "../metric/definition.ts"
import type { Settings } from "../settings.ts"
import type { KnownFacts, KnownIdentities, StepChanges } from "./completeStep.ts"
import type { DedupeEntry } from "./DedupeIndex.ts"
import type { CheckpointConflict, ReadModelUnavailable } from "./errors.ts"
import type { FoldCounts, FoldFailure } from "./Fold.ts"
import type { CellDelta } from "./CellSums.ts"

/** The last log position of a (group, partition) that is inside the read model, and what goes with it. */
export interface Checkpoint {
  readonly position: Position
  readonly chain: ChainState
  /** Log time reached, ms: never goes back, whatever writers' clocks do. */
  readonly logTime: number
  /** Totals since the beginning of the log. */
  readonly counts: FoldCounts
}

/** Where a partition ended, with proof of what stood there. */
export interface LogEnd {
  readonly position: Position
  readonly sum: string
}

/** One version of a metric in the read model. */
export interface MeasureVersion {
  /** Number of this version; cells and facts are stored under it. */
  readonly id: number
  readonly definition: MetricDefinition
  /** `building`: being projected by a group of its own; `live`: part of the default group, and answers queries. */
  readonly state: "building" | "live"
}

/** The default projector group. */
export const LIVE_GROUP = "live"

/** Everything that one step of one (group, partition) commits, in one transaction. */
export interface Step {
  readonly group: string
  readonly partition: number
  /** The position that the step read from; `null` at the beginning. The commit compares it with what is stored. */
  readonly expected: Position | null
  readonly next: Checkpoint
  /** Ids of the measure versions that `changes.measures` stands for, in order. */
  readonly measures: ReadonlyArray<number>
  readonly changes: StepChanges
  readonly intake: ReadonlyArray<CellDelta>
  /** One entry per batch that is still within the dedupe horizon. */
  readonly dedupe: ReadonlyArray<DedupeEntry>
  /** Batches logged before this (ms) need no fingerprints any more. */
  readonly dedupeFrom: number
  /** Places of duplicates by batch, so that readers of the log skip what was not counted. */
  readonly duplicates: ReadonlyArray<{ readonly sequence: number; readonly places: ReadonlyArray<number> }>
  readonly failures: ReadonlyArray<FoldFailure>
  /** Whether cells that change were published before: not while a group is projected for the first time. */
  readonly revises: boolean
}

/**
 * The tables that the projector writes: who is who, facts, cells, checkpoints, dedupe.
 *
 * Owns: that a step is committed whole or not at all, and only onto the checkpoint that it read from. Does not own:
 * what the numbers mean. Text goes in and comes out unchanged, whatever code points it has.
 */
export class ReadModel extends Context.Service<
  ReadModel,
  {
    /** Settings that the tables were made under; `null` before the first projection. */
    readonly settings: Effect.Effect<Settings | null, ReadModelUnavailable>
    /** Whether the tables have held all of the log since they were last emptied; until then they answer nothing. */
    readonly isWhole: Effect.Effect<boolean, ReadModelUnavailable>
    readonly markWhole: Effect.Effect<void, ReadModelUnavailable>
    /** The last control fact that the tables stand on; `null` for none. */
    readonly controlEnd: Effect.Effect<LogEnd | null, ReadModelUnavailable>
    readonly noteControlEnd: (end: LogEnd) => Effect.Effect<void, ReadModelUnavailable>
    /** Forgets what groups other than the default one have built of these versions, so that they begin anew. */
    readonly discardBuilds: (measures: ReadonlyArray<number>) => Effect.Effect<void, ReadModelUnavailable>
    readonly measures: Effect.Effect<ReadonlyArray<MeasureVersion>, ReadModelUnavailable>
    readonly checkpoint: (group: string, partition: number) => Effect.Effect<Checkpoint | null, ReadModelUnavailable>
    /** Rows of the distinct ids, of all members of their persons, and the alias statements among them. */
    readonly identities: (
      distinctIds: ReadonlyArray<DistinctId>,
    ) => Effect.Effect<KnownIdentities, ReadModelUnavailable>
    /** Facts of the measure versions, in the order given, for the identity keys. */
    readonly facts: (
      measures: ReadonlyArray<number>,
      keys: ReadonlyArray<number>,
    ) => Effect.Effect<KnownFacts, ReadModelUnavailable>
    /** What was kept of the batches of a partition logged at or after an instant (ms), in order. */
    readonly dedupeEntries: (
      partition: number,
      from: number,
    ) => Effect.Effect<ReadonlyArray<DedupeEntry>, ReadModelUnavailable>
    /** Places of duplicates in a partition, by sequence. */
    readonly duplicates: (
      partition: number,
    ) => Effect.Effect<ReadonlyMap<number, ReadonlySet<number>>, ReadModelUnavailable>
    readonly commit: (step: Step) => Effect.Effect<void, CheckpointConflict | ReadModelUnavailable>
    /** Registers metric versions to be built; those already known are left alone, and older ones still building end. */
    readonly register: (
      definitions: ReadonlyArray<MetricDefinition>,
    ) => Effect.Effect<ReadonlyArray<MeasureVersion>, ReadModelUnavailable>
    /** Makes built versions part of the default group, in place of earlier versions of their metrics. */
    readonly promote: (group: string, measures: ReadonlyArray<number>) => Effect.Effect<void, ReadModelUnavailable>
    /** Empties every table, and notes the settings that the next projection runs under. */
    readonly wipe: (settings: Settings) => Effect.Effect<void, ReadModelUnavailable>
  }
>()("tidemark/domain/projection/ReadModel") {}
