import { Effect } from "effect"
import type { DayRange, Day } from "../../domain/time/calendar.ts"
import { formatDay, parseDay } from "../../domain/time/calendar.ts"
import { BadQuery } from "./errors.ts"

/**
 * What every question may say: the ends of a range, `YYYY-MM-DD`, `today`, `yesterday` or `N_days_ago`, both included; and
 * as of when it is asked.
 */
export interface RangeInput {
  readonly from?: string | undefined
  readonly to?: string | undefined
  /**
   * An instant of log time, ISO 8601, or the `cut` of another answer: the answer that a projection of the log up to there
   * gives, with the settings and definitions of then. Default: as of what is projected.
   */
  readonly asOf?: string | undefined
}

/** Most days in one answer: a century and more; beyond it a range is a slip of the keyboard. */
const RANGE_DAYS_MAX = 50_000

/** A day as callers spell it, or `undefined`. */
const readDay = (text: string, today: Day): Day | undefined => {
  if (text === "today") return today
  if (text === "yesterday") return today - 1
  const ago = /^(\d{1,5})_days_ago$/.exec(text)
  return ago === null ? parseDay(text) : today - Number(ago[1])
}

/** The range asked for; ends not given are those of what is stored. */
export const resolveRange = (
  input: RangeInput,
  stored: DayRange | null,
  today: Day,
): Effect.Effect<DayRange, BadQuery> =>
  Effect.gen(function* () {
    const end = (name: "from" | "to") =>
      Effect.gen(function* () {
        const text = input[name]
        if (text === undefined) return stored?.[name]
        const day = readDay(text, today)
        if (day !== undefined) return day
        return yield* new BadQuery({
          problem: `"${text}" is not a day.`,
          remedy: "Give a day as YYYY-MM-DD, today, yesterday or N_days_ago.",
        })
      })
    const from = yield* end("from")
    const to = yield* end("to")
    const range = { from: from ?? to ?? today, to: to ?? from ?? today }
    // An end that nobody gave gives way to the one that somebody did.
    if (range.from > range.to && input.from === undefined) return { from: range.to, to: range.to }
    if (range.from > range.to && input.to === undefined) return { from: range.from, to: Math.max(range.from, today) }
    if (range.from > range.to) {
      return yield* new BadQuery({
        problem: `The range runs backwards: from ${formatDay(range.from)} to ${formatDay(range.to)}.`,
        remedy: "Give the earlier day as --from.",
      })
    }
    if (range.to - range.from >= RANGE_DAYS_MAX) {
      return yield* new BadQuery({
        problem: `The range from ${formatDay(range.from)} to ${formatDay(range.to)} has ${range.to - range.from + 1} days.`,
        remedy: `A range has at most ${RANGE_DAYS_MAX} days.`,
      })
    }
    return range
  })
