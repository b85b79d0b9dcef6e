import { Context, type Effect } from "effect"
import type { Position } from "../log/position.ts"
import type { ReadModelUnavailable } from "./errors.ts"
import type { FoldFailure } from "./Fold.ts"

/** Stands for every measure: an event that was isolated is in none. */
export const EVERY_MEASURE = "*"

/** The cause of an isolation, as the quarantine has it; by it they are told from events that could not be folded. */
export const ISOLATED = "The worker ended without a word whenever it handled this event, also by itself."

/** Tells the failures that leave their events out of a metric; of `null`, a measure that nobody declared, or of all of them. */
export const isLeftOut =
  (metric: string | null) =>
  (it: Pick<FoldFailure, "metric" | "cause">): boolean =>
    it.metric === EVERY_MEASURE || (metric !== null && it.metric === metric && it.cause === ISOLATED)

/** Stands for every partition, or every group. */
export const ALL_PARTITIONS = -1

/** Why partitions stand still: an operator said so, too many events failed, a batch kills, or a build is about to take over. */
export type PauseCause = "operator" | "budget" | "crash" | "takeover"

/** Partitions stand still until somebody lets them go on. */
export interface Pause {
  /** A group, or `null` for all. */
  readonly group: string | null
  /** A partition, or `ALL_PARTITIONS`. */
  readonly partition: number
  readonly cause: PauseCause
  readonly sentence: string
  /** ms */
  readonly since: number
}

/** Whether a pause ends without anybody's doing. */
export const isOverByItself = ({ cause }: Pause): boolean => cause === "takeover"

/** Something that a worker can't go on from until somebody acts. */
export interface Stop {
  readonly group: string
  readonly partition: number
  readonly owner: string
  readonly sentence: string
  /** ms */
  readonly since: number
}

/** Who owns a (group, partition), and how far it is. */
export interface Ownership {
  readonly group: string
  readonly partition: number
  readonly epoch: number
  readonly owner: string
  /** Sequence of the checkpoint; 0 at the beginning. */
  readonly sequence: number
}

/** What all workers of a project have in common, as one look at the tables finds it. */
export interface Outlook {
  /** As `ReadModel.made`. */
  readonly made: string | null
  /** Whether the tables have held all of the log since they were emptied. */
  readonly whole: boolean
  /** Groups that measures are in; none before the first are registered. */
  readonly groups: ReadonlyArray<string>
  readonly ownerships: ReadonlyArray<Ownership>
  readonly pauses: ReadonlyArray<Pause>
  readonly stops: ReadonlyArray<Stop>
}

/** Events of one batch by place, from `first` up to and without `last`, that are tried apart from the others. */
export interface Trial {
  readonly sequence: number
  readonly first: number
  readonly last: number
}

/** What is known of attempts on a (group, partition) that did not end. */
export interface Attempt {
  /** Attempts since the last one that ended, or since the trial began; this one included. */
  readonly count: number
  /** What was being tried when the attempt before ended without a word. */
  readonly trial: Trial | null
  /** Attempts that ended without a word since the batch was first tried apart. */
  readonly deaths: number
}

/**
 * What operators and workers tell each other beside the log: pauses, failures, attempts. None of it changes what a number
 * is; it may be lost.
 */
export class Operations extends Context.Service<
  Operations,
  {
    readonly look: Effect.Effect<Outlook, ReadModelUnavailable>
    /**
     * Lets workers stand still at partitions. On an operator's word no step of theirs is committed once this is through: the
     * claims end, and a worker that claims after that looks for pauses before its first step.
     */
    readonly pause: (pause: Omit<Pause, "since">) => Effect.Effect<void, ReadModelUnavailable>
    /**
     * Lets partitions go on; returns what was lifted. On an operator's word, what can't go on is tried again at once, and
     * after crashes with a fresh start.
     */
    readonly resume: (
      partition: number,
      causes: ReadonlyArray<PauseCause>,
    ) => Effect.Effect<ReadonlyArray<Pause>, ReadModelUnavailable>
    readonly stop: (stop: Omit<Stop, "since">) => Effect.Effect<void, ReadModelUnavailable>
    readonly goOn: (group: string, partition: number) => Effect.Effect<void, ReadModelUnavailable>
    /** Marks an attempt before its first batch is handled. */
    readonly beginAttempt: (group: string, partition: number) => Effect.Effect<Attempt, ReadModelUnavailable>
    /** Marks what is tried next. */
    readonly beginTrial: (group: string, partition: number, trial: Trial) => Effect.Effect<void, ReadModelUnavailable>
    /** The attempt ended, well or with a failure that can be told. */
    readonly endAttempt: (group: string, partition: number) => Effect.Effect<void, ReadModelUnavailable>
    /** Events that every one of these metrics leaves out, by sequence: places. What `EVERY_MEASURE` leaves out, they do. */
    readonly isolated: (
      partition: number,
      metrics: ReadonlyArray<string>,
    ) => Effect.Effect<ReadonlyMap<number, ReadonlySet<number>>, ReadModelUnavailable>
    /**
     * Leaves an event out of metrics: of `EVERY_MEASURE` where the default group decides, before it counts anywhere; of the
     * metrics that are being built where a build does, since it counts elsewhere already.
     */
    readonly isolate: (
      position: Position,
      place: number,
      metrics: ReadonlyArray<string>,
    ) => Effect.Effect<void, ReadModelUnavailable>
    /** Names of the workers whose sign of life is fresh. */
    readonly liveWorkers: Effect.Effect<ReadonlyArray<string>, ReadModelUnavailable>
  }
>()("tidemark/domain/projection/Operations") {}
