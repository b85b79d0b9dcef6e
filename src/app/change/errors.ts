import { Data } from "effect"
import { type DayRange, formatDay } from "../../domain/time/calendar.ts"

/** A name that no build of a metric has, or that can't be read. */
export class NoSuchBuild extends Data.TaggedError("NoSuchBuild")<{
  readonly asked: string
  /** What would have done. */
  readonly wanted: string
  /** Builds of the metric, with their states. */
  readonly there: ReadonlyArray<string>
}> {
  override get message(): string {
    const there = this.there.length === 0 ? "There are no builds of it." : `There are: ${this.there.join(", ")}.`
    return `Nothing was changed: ${this.asked} names no ${this.wanted}. ${there}`
  }
}

/** A build that answers, where one was to begin to. */
export class AlreadyLive extends Data.TaggedError("AlreadyLive")<{ readonly build: string }> {
  override get message(): string {
    return `Nothing was changed: ${this.build} is live already.`
  }
}

/** A build that is not through yet. */
export class NotReady extends Data.TaggedError("NotReady")<{ readonly build: string }> {
  override get message(): string {
    return `${this.build} is still being built. "tidemark status" shows how far it is; wait until it is ready (without workers "tidemark project --once" gets it there), or give it up with "tidemark metrics drop ${this.build}".`
  }
}

/** Numbers that differ although they were to be the same. */
export class Unexplained extends Data.TaggedError("Unexplained")<{
  readonly build: string
  readonly live: string
  readonly differing: number
}> {
  override get message(): string {
    return `${this.build} was not promoted: ${this.differing} of its cells differ from those of ${this.live}, and they were expected to be the same. "tidemark metrics compare ${this.build}" shows which, and who is behind them; "tidemark metrics promote ${this.build} --accept" promotes it as it is, "tidemark metrics drop ${this.build}" gives it up.`
  }
}

/** What answers queries, or is to, can't be given up. */
export class StillLive extends Data.TaggedError("StillLive")<{
  readonly build: string
  readonly metric: string
  readonly isBuilt: boolean
}> {
  override get message(): string {
    const answers = this.isBuilt ? "it answers queries" : "it is to answer queries as soon as it is built"
    return `${this.build} was not dropped: ${answers}. Promote another build of ${this.metric} first, or retire the metric ("tidemark metrics retire ${this.metric}").`
  }
}

/** As many builds are under way as may be at once. */
export class TooManyBuilds extends Data.TaggedError("TooManyBuilds")<{ readonly most: number }> {
  override get message(): string {
    return `Nothing was begun: ${this.most} builds are under way already, and each reads the log by itself. Wait until one is ready ("tidemark status"), or give one up with "tidemark metrics drop".`
  }
}

/** Days can't be built by themselves where numbers follow from what persons did on other days. */
export class NotDayByDay extends Data.TaggedError("NotDayByDay")<{ readonly metric: string; readonly kind: string }> {
  override get message(): string {
    return `Nothing was begun: ${this.metric} counts persons (${this.kind}), whose days hang together, so it is built over all of them. Leave --from and --to out; event-count and property-sum can be built for some days.`
  }
}

/** A build is there, of other days than those asked for. */
export class BuiltForOtherDays extends Data.TaggedError("BuiltForOtherDays")<{
  readonly build: string
  /** The days it is for; `null` for all. */
  readonly days: DayRange | null
}> {
  override get message(): string {
    const what =
      this.days === null ? "all days" : `the days from ${formatDay(this.days.from)} to ${formatDay(this.days.to)} only`
    return `Nothing was begun: ${this.build} is under way or ready, and is built for ${what}. Promote it or give it up first ("tidemark metrics drop ${this.build}").`
  }
}
