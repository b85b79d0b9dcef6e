import { Context, type Effect } from "effect"
import type { DistinctId } from "../identity/distinctId.ts"
import type { Identity } from "../identity/persons.ts"
import type { Fact } from "../measure/Fact.ts"
import type { EachPerson } from "../measure/points.ts"
import type { Day, DayRange } from "../time/calendar.ts"
import type { KnownIdentities } from "./whoIsWho.ts"
import type { ReadModelUnavailable } from "./errors.ts"
import type { FoldFailure } from "./Fold.ts"
import type { Settings } from "../settings.ts"
import type { Checkpoint, LogEnd, Build } from "./ReadModel.ts"

/** One number of the read model. */
export interface Cell {
  readonly day: Day
  readonly item: string
  readonly stat: string
  /** Exact decimal text. */
  readonly amount: string
  /** When it last changed after it was first published, ms; `null` if never. */
  readonly revisedAt: number | null
  readonly revisionCause: string | null
}

/** What every answer depends on beside its numbers. */
export interface Standing {
  /** `null` before anything was projected. */
  readonly settings: Settings | null
  /** As `ReadModel` says it: whether the tables hold all of the log, and all live measures count everybody. */
  readonly whole: boolean
  /** All builds of metrics, in the order of their ids. */
  readonly measures: ReadonlyArray<Build>
  /** First and last day with activity, or `null` when there are none. */
  readonly stored: DayRange | null
  /** How far the default group is in each partition. */
  readonly checkpoints: ReadonlyArray<Checkpoint>
  /** As `ReadModel` says it: the last control fact that the tables stand on. */
  readonly controlEnd: LogEnd | null
}

/** Persons observed on a day, by the days since they were observed before; `Infinity` for those that never were. */
export interface Returned {
  readonly day: Day
  readonly since: number
  readonly users: number
}

/** Who claimed a (group, partition), and how far it is. Instants are ms, by the database's clock. */
export interface ClaimedPartition {
  readonly group: string
  readonly partition: number
  readonly epoch: number
  readonly owner: string
  readonly claimedAt: number
  readonly committedAt: number | null
  /** `null` until the first step is committed. */
  readonly checkpoint: Checkpoint | null
}

/** A cell whose amounts in two builds differ; `null` where there is no such cell. Amounts are exact decimals as text. */
export interface CellDifference {
  readonly day: Day
  readonly item: string
  readonly stat: string
  readonly before: string | null
  readonly after: string | null
}

/** All cells of one build beside those of another. */
export interface CellComparison {
  /** Cells with the same amount in both. */
  readonly equal: number
  /** Cells that only the later one has. */
  readonly added: number
  /** Cells that only the earlier one has. */
  readonly removed: number
  readonly changed: number
  /** Days on which any cell differs. */
  readonly days: number
  /**
   * Per statistic that differs somewhere, both sums over all cells. Those from which distinct persons of a range are counted
   * are left out here and below: they follow from the others.
   */
  readonly sums: ReadonlyArray<{ readonly stat: string; readonly before: string; readonly after: string }>
  /** The biggest difference of each statistic first, then the second ones, and so on. */
  readonly biggest: ReadonlyArray<CellDifference>
}

/** Number under which the intake's cells are kept: how many events came in, late or repeated. They belong to no metric. */
export const INTAKE = 0

/**
 * What queries ask of the read model. Each is answered from one place in the log; several are only inside `snapshot`,
 * since projectors go on in between, and an emptied read model gives its numbers of measures to others. Questions about
 * cells that are asked at once, with `Effect.all` and `concurrency`, can be answered in one go.
 */
export class ReadModelQueries extends Context.Service<
  ReadModelQueries,
  {
    /**
     * Runs what asks several times, so that all of it, questions to `ReadModel` included, sees the tables as they stand at
     * one moment. Nobody can empty them until it is through, and the database ends it after some seconds in which nothing
     * is asked: what takes long, such as a walk through the log, belongs behind it. One inside another is the same one.
     */
    readonly snapshot: <A, E, R>(questions: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ReadModelUnavailable, R>
    /** How the tables stand. */
    readonly standing: Effect.Effect<Standing, ReadModelUnavailable>
    /** Cells of a measure in a range, by day, statistic and item; of all items, or of one. */
    readonly cells: (
      measure: number,
      range: DayRange,
      filter?: { readonly stats?: ReadonlyArray<string>; readonly item?: string },
    ) => Effect.Effect<ReadonlyArray<Cell>, ReadModelUnavailable>
    /** Compares all cells of a build with those of another; `limit`: differences listed. */
    readonly compareCells: (
      before: number,
      after: number,
      limit: number,
    ) => Effect.Effect<CellComparison, ReadModelUnavailable>
    /** Distinct persons of an active-users measure in a range, per value of the breakdown or of one; from cells. */
    readonly uniquesByValue: (
      measure: number,
      range: DayRange,
      value?: string,
    ) => Effect.Effect<ReadonlyMap<string, number>, ReadModelUnavailable>
    /** Persons of an active-users measure on each day of a range with one value, by when they were observed before. */
    readonly returned: (
      measure: number,
      value: string,
      range: DayRange,
    ) => Effect.Effect<ReadonlyArray<Returned>, ReadModelUnavailable>
    /** For each person, the join of its distinct ids' facts: for what asks for days and values too. */
    readonly personFacts: (measure: number) => Effect.Effect<ReadonlyMap<number, Fact>, ReadModelUnavailable>
    /** The points of each person that has any, for what asks for these alone. */
    readonly personPoints: (measure: number) => Effect.Effect<EachPerson, ReadModelUnavailable>
    /** Rows of the distinct ids, of all members of their persons, and the alias statements among them. */
    readonly identities: (
      distinctIds: ReadonlyArray<DistinctId> | "all",
    ) => Effect.Effect<Pick<KnownIdentities, "rows" | "statements">, ReadModelUnavailable>
    /** All rows of the person that a distinct id belongs to; empty when it is unknown. */
    readonly personOf: (distinctId: DistinctId) => Effect.Effect<ReadonlyArray<Identity>, ReadModelUnavailable>
    /** Every (group, partition) that was ever claimed, also those whose first step is yet to come. */
    readonly claims: Effect.Effect<ReadonlyArray<ClaimedPartition>, ReadModelUnavailable>
    /** Groups with measures that don't count everybody yet, and which share (0 to 1) of the persons is counted, about. */
    readonly counting: Effect.Effect<ReadonlyMap<string, number>, ReadModelUnavailable>
    readonly failures: Effect.Effect<ReadonlyArray<FoldFailure>, ReadModelUnavailable>
    /** Rows of facts and cells that one measure has. */
    readonly sizesOf: (
      measure: number,
    ) => Effect.Effect<{ readonly facts: number; readonly cells: number }, ReadModelUnavailable>
    /** Rows that a person may want to know the number of: distinct ids, persons, facts, cells. */
    readonly sizes: Effect.Effect<
      { readonly distinctIds: number; readonly persons: number; readonly facts: number; readonly cells: number },
      ReadModelUnavailable
    >
  }
>()("tidemark/domain/projection/ReadModelQueries") {}
