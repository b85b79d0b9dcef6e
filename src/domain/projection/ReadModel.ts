import { Context, type Effect } from "effect"
import type { DistinctId } from "../identity/distinctId.ts"
import type { ChainState } from "../log/ChainVerifier.ts"
import type { Position } from "../log/position.ts"
import type { Identity } from "../identity/persons.ts"
import type { MetricDefinition } from "../metric/definition.ts"
import type { Settings } from "../settings.ts"
import type { DayRange } from "../time/calendar.ts"
import type { FactChange, KnownFacts, StepChanges } from "./StepChanges.ts"
import type { KnownIdentities } from "./whoIsWho.ts"
import type { CountedRange, CountedTo } from "./counted.ts"
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

/**
 * One build of one version of a metric in the read model. All but those that are `building` are part of the default group,
 * so they stand at one place in the log, whatever they are there for.
 */
export interface Build {
  /** Number of this build; cells and facts are stored under it. */
  readonly id: number
  readonly definition: MetricDefinition
  /** 1, 2, … for each version: a rebuild makes the next one. */
  readonly build: number
  /**
   * `building`: being projected by a group of its own. `ready`: built, and was never asked yet. `live`: answers queries; one
   * build of a metric at most. `detached`: another took its place, and it can be gone back to.
   */
  readonly state: "building" | "ready" | "live" | "detached"
  /** When it last began to answer queries, ms; `null` if never. */
  readonly liveSince: number | null
  /** The only local days it was built for, where those of the others are from the build before it; `null` for all. */
  readonly days: DayRange | null
  /** The projector group that folds events into it. */
  readonly group: string
}

/** The default projector group. */
export const LIVE_GROUP = "live"

/** What a projector holds that has claimed a (group, partition). */
export interface Claim {
  /** Raised by every claim: the number that a commit must still find. */
  readonly epoch: number
  readonly checkpoint: Checkpoint | null
}

/** Where a step stands: what its commit must still find. */
export type StepPlace = Pick<Step, "group" | "partition" | "epoch" | "expected">

/** Everything that one step of one (group, partition) commits, in one transaction, besides what it settles. */
export interface Step {
  readonly group: string
  readonly partition: number
  /** Of the claim that the step is made under. The commit compares it with what is stored. */
  readonly epoch: number
  /** The position that the step read from; `null` at the beginning. The commit compares it with what is stored. */
  readonly expected: Position | null
  readonly next: Checkpoint
  /** Ids of the builds that the changes of measures stand for, in order. */
  readonly measures: ReadonlyArray<number>
  readonly intake: ReadonlyArray<CellDelta>
  /** One entry per batch that is still within the dedupe horizon. */
  readonly dedupe: ReadonlyArray<DedupeEntry>
  /** Batches logged before this (ms) need no fingerprints any more. */
  readonly dedupeFrom: number
  /** Places of duplicates by batch, so that readers of the log skip what was not counted. */
  readonly duplicates: ReadonlyArray<{ readonly sequence: number; readonly places: ReadonlyArray<number> }>
  readonly failures: ReadonlyArray<FoldFailure>
  /**
   * Whether the cells of a measure that change were published before: not while a group is projected for the first time,
   * nor for measures that are still being built.
   */
  readonly revises: (measure: number) => boolean
}

/**
 * What a step may look up while it is committed. What it has looked up nobody else changes until the step is through, so
 * that two partitions can touch the same person at once.
 */
export interface KnownTables {
  /** Up to which person the cells of the step's measures count, in their order. */
  readonly countedTo: ReadonlyArray<CountedTo>
  /**
   * Rows of the distinct ids, of all members of their persons, and the alias statements among them. `withOlderParts`: and
   * the older parts of all devices among them, which are persons of their own. `alone`: and the rows of these keys, without the
   * other members of their persons, and without their statements.
   */
  readonly identities: (
    distinctIds: ReadonlyArray<DistinctId>,
    withOlderParts: boolean,
    alone?: ReadonlyArray<number>,
  ) => Effect.Effect<KnownIdentities, ReadModelUnavailable>
  /** Facts of builds about some identities, in the order given. */
  readonly facts: (needs: ReadonlyArray<FactsOf>) => Effect.Effect<KnownFacts, ReadModelUnavailable>
}

/** Facts of one build about some identities. */
export interface FactsOf {
  readonly measure: number
  readonly keys: ReadonlyArray<number>
}

/** The next persons to be counted by measures of one group, and all that is known of them. */
export interface Uncounted {
  readonly settings: Settings
  /** In the order of `facts` and of the changes to be made. */
  readonly measures: ReadonlyArray<Pick<Build, "id" | "definition">>
  readonly counted: CountedRange
  /** Rows of all members of these persons, and the older parts of all devices among them. */
  readonly identities: ReadonlyArray<Identity>
  readonly facts: KnownFacts
}

/** What counting some persons changes, but for cells. */
export interface CountedPortion {
  readonly identities: ReadonlyArray<Identity>
  /** Per measure. */
  readonly facts: ReadonlyArray<ReadonlyArray<FactChange>>
  /** About how many identities may be counted next in the same transaction; 0 for none. */
  readonly nextLimit: number
}

/** Counts persons in one transaction, a portion at a time. */
export interface PersonCounter {
  readonly take: (uncounted: Uncounted) => CountedPortion
  /** How cells change with all that was taken; none where nothing was. Per measure. */
  readonly cells: () => ReadonlyArray<ReadonlyArray<CellDelta>>
}

/**
 * The tables that the projector writes: who is who, facts, cells, checkpoints, dedupe.
 *
 * Owns: that a step is committed whole or not at all, only onto the checkpoint that it read from, and only by the last
 * to claim the partition. Does not own: what the numbers mean. Text goes in and comes out unchanged, whatever code points
 * it has.
 */
export class ReadModel extends Context.Service<
  ReadModel,
  {
    /** Settings that the tables were made under; `null` before the first projection. */
    readonly settings: Effect.Effect<Settings | null, ReadModelUnavailable>
    /**
     * Whether the tables have held all of the log since they were last emptied, and live measures count everybody; until then
     * they answer nothing.
     */
    readonly isWhole: Effect.Effect<boolean, ReadModelUnavailable>
    /** Differs whenever the tables were emptied in between; `null` before they were first made ready. */
    readonly made: Effect.Effect<string | null, ReadModelUnavailable>
    /** Marks the tables as whole, unless they were emptied since they were `made`. */
    readonly markWhole: (made: string) => Effect.Effect<void, ReadModelUnavailable>
    /** The last control fact that the tables stand on; `null` for none. */
    readonly controlEnd: Effect.Effect<LogEnd | null, ReadModelUnavailable>
    /** Notes that the tables stand on a control fact, unless they do on a later one, or were emptied since they were `made`. */
    readonly noteControlEnd: (end: LogEnd, made: string) => Effect.Effect<void, ReadModelUnavailable>
    readonly measures: Effect.Effect<ReadonlyArray<Build>, ReadModelUnavailable>
    readonly checkpoint: (group: string, partition: number) => Effect.Effect<Checkpoint | null, ReadModelUnavailable>
    /** Makes the caller the owner of a (group, partition); no step of an owner before it can be committed any more. */
    readonly claim: (group: string, partition: number, owner: string) => Effect.Effect<Claim, ReadModelUnavailable>
    /** What was kept of the batches of a partition logged at or after an instant (ms), in order. */
    readonly dedupeEntries: (
      partition: number,
      from: number,
    ) => Effect.Effect<ReadonlyArray<DedupeEntry>, ReadModelUnavailable>
    /** Places of duplicates in a partition, by sequence, in the batches after one. */
    readonly duplicates: (
      partition: number,
      after: number,
    ) => Effect.Effect<ReadonlyMap<number, ReadonlySet<number>>, ReadModelUnavailable>
    /**
     * Keys of distinct ids, in their order. Those that have none are given one, each a person of its own, in a short transaction
     * for itself: large steps, which all bring the same new ones, hardly wait for each other. A distinct id that no step is
     * committed about has no facts, and counts nowhere.
     */
    readonly keysOf: (
      place: StepPlace,
      distinctIds: ReadonlyArray<DistinctId>,
    ) => Effect.Effect<ReadonlyArray<number>, CheckpointConflict | ReadModelUnavailable>
    /** Settles what the step changes and writes it, in one transaction. `settle` may be run again from the start. */
    readonly commit: (
      step: Step,
      settle: (known: KnownTables) => Effect.Effect<StepChanges, ReadModelUnavailable>,
    ) => Effect.Effect<void, CheckpointConflict | ReadModelUnavailable>
    /**
     * Counts the next persons of a group whose facts were only gathered so far, in one transaction: about `limit` identities,
     * and more as long as the counter lets more come; steps of measures that are being counted wait for it. `true` when
     * everybody is counted, or the group is no more. `begin` may be asked for another counter, to begin again.
     */
    readonly countNext: (
      group: string,
      limit: number,
      begin: () => PersonCounter,
    ) => Effect.Effect<boolean, ReadModelUnavailable>
    /**
     * Registers metric versions to be built together, by a group of their own; those already known are left alone. While
     * nothing is projected yet all are part of the default group at once: the first of a metric that has none is live,
     * others are detached if they ever answered queries (`liveSince`: when they last began to, ms), and else ready. Owners
     * of the default group must claim anew, since it has other measures now, or moves those being built when persons turn
     * out to be others. They count nobody until `countNext`.
     */
    readonly register: (
      definitions: ReadonlyArray<MetricDefinition>,
      liveSince?: (definition: MetricDefinition) => number | null,
    ) => Effect.Effect<ReadonlyArray<Build>, ReadModelUnavailable>
    /**
     * Registers the next builds of live versions, to be built together by a group of their own; a version of which one is
     * building or ready already is left alone. The same holds for owners of the default group. Nothing is changed when the
     * tables were emptied since they were `made`, which gives the numbers of measures to others. `days`: the only ones that
     * are built, for measures that count day by day. Before anything was projected there is nothing to build anew.
     */
    readonly rebuild: (
      measures: ReadonlyArray<number>,
      made: string,
      days?: DayRange | null,
    ) => Effect.Effect<void, ReadModelUnavailable>
    /**
     * Makes what a group has built part of the default group, and ends the group: the first builds that there are of metrics
     * without a live one are live, and the rest ready. `false`, and nothing is changed, when the default group has gone on
     * from where the build stands, or not everybody is counted. Owners of the default group must claim anew, since it has
     * other measures now.
     */
    readonly adopt: (group: string) => Effect.Effect<boolean, ReadModelUnavailable>
    /**
     * Makes builds of different metrics answer queries, all in one moment; those in whose place they come are detached. One
     * that is not ready or detached, such as one that is live already, is left alone. Owners of the default group must
     * claim anew, since other cells are published now. `made`: as for `rebuild`. `end`: the control fact that decided it, noted
     * in the same moment, so that no answer names another one.
     */
    readonly makeLive: (
      measures: ReadonlyArray<number>,
      made: string,
      end?: LogEnd | null,
    ) => Effect.Effect<void, ReadModelUnavailable>
    /** Says that a build is another version's, which must count the same. `made`: as for `rebuild`. */
    readonly relabel: (
      measure: number,
      definition: MetricDefinition,
      made: string,
    ) => Effect.Effect<void, ReadModelUnavailable>
    /**
     * Gives builds up, except one that has begun to answer queries since it was found in the state given; what they have
     * stored is left for `sweep`. `made`: as for `rebuild`.
     */
    readonly drop: (
      builds: ReadonlyArray<Pick<Build, "id" | "state">>,
      made: string,
    ) => Effect.Effect<void, ReadModelUnavailable>
    /** Deletes about so many rows that builds given up have left; `true` when there are none. */
    readonly sweep: (limit: number) => Effect.Effect<boolean, ReadModelUnavailable>
    /**
     * Empties every table, and notes the settings that the next projection runs under; gives what `made` is then. `null`,
     * and nothing is changed, when somebody else has emptied them since they were `made`.
     */
    readonly wipe: (settings: Settings, made: string | null) => Effect.Effect<string | null, ReadModelUnavailable>
  }
>()("tidemark/domain/projection/ReadModel") {}
