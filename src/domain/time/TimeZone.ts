import { type Day, MILLIS_PER_DAY } from "./calendar.ts"

/**
 * A reporting time zone: turns instants into local days. Daylight-saving days of 23 or 25 hours included.
 *
 * Offsets come from the platform's IANA data through `Intl`, which is too slow to ask once an event; they are kept per
 * UTC day, and only the few days on which the offset changes are looked at more closely.
 */
export class TimeZone {
  readonly name: string
  readonly #format: Intl.DateTimeFormat | null
  /** UTC day → its one offset in ms, or where it changes: [offset before, instant, offset after]. */
  readonly #offsets = new Map<number, number | readonly [number, number, number]>()

  private constructor(name: string, format: Intl.DateTimeFormat | null) {
    this.name = name
    this.#format = format
  }

  static readonly utc = new TimeZone("UTC", null)

  /** Zones asked for so far: making one takes longer than many a step of a projection. */
  static readonly #known = new Map<string, TimeZone>()

  /** The zone of an IANA name (`Europe/Berlin`), or `undefined` when the platform doesn't know it. */
  static of(name: string): TimeZone | undefined {
    if (name === "UTC" || name === "Etc/UTC") return TimeZone.utc
    // A bare offset such as `+02:00` is accepted by Intl but is no zone: it has no daylight-saving rules.
    if (!/^[A-Za-z]/.test(name)) return undefined
    const known = TimeZone.#known.get(name)
    if (known !== undefined) return known
    try {
      const zone = new TimeZone(
        name,
        new Intl.DateTimeFormat("en-US", {
          timeZone: name,
          calendar: "gregory",
          numberingSystem: "latn",
          hourCycle: "h23",
          era: "short",
          year: "numeric",
          month: "numeric",
          day: "numeric",
          hour: "numeric",
          minute: "numeric",
          second: "numeric",
        }),
      )
      TimeZone.#known.set(name, zone)
      return zone
    } catch {
      return undefined
    }
  }

  /** Local time minus UTC at an instant, in ms. */
  offsetAt(instant: number): number {
    if (this.#format === null) return 0
    const utcDay = Math.floor(instant / MILLIS_PER_DAY)
    let offset = this.#offsets.get(utcDay)
    if (offset === undefined) {
      offset = this.#offsetOfUtcDay(utcDay)
      this.#offsets.set(utcDay, offset)
    }
    return typeof offset === "number" ? offset : instant < offset[1] ? offset[0] : offset[2]
  }

  /** The local calendar day of an instant (ms). */
  dayOf(instant: number): Day {
    return Math.floor((instant + this.offsetAt(instant)) / MILLIS_PER_DAY)
  }

  /** The first instant (ms) of a local day. */
  startOfDay(day: Day): number {
    return this.instantOf(day * MILLIS_PER_DAY)
  }

  /**
   * The instant of a local wall-clock time, given as ms of that wall clock since 1970-01-01. A time that a clock change
   * skips is read with the offset before the change, one that occurs twice as the first (as ECMA-262 and `java.time`
   * do).
   */
  instantOf(wallMillis: number): number {
    const before = this.offsetAt(wallMillis - MILLIS_PER_DAY)
    const after = this.offsetAt(wallMillis + MILLIS_PER_DAY)
    const early = wallMillis - before
    if (before === after || this.offsetAt(early) === before) return early
    const late = wallMillis - after
    return this.offsetAt(late) === after ? late : early
  }

  #offsetOfUtcDay(utcDay: number): number | readonly [number, number, number] {
    let low = utcDay * MILLIS_PER_DAY
    let high = low + MILLIS_PER_DAY
    const first = this.#askOffset(low)
    const last = this.#askOffset(high)
    if (first === last) return first
    // One change a day: find it by bisection, to the second (no zone changes at a fraction of one).
    while (high - low > 1000) {
      const middle = low + Math.floor((high - low) / 2000) * 1000
      if (this.#askOffset(middle) === first) low = middle
      else high = middle
    }
    return [first, high, last]
  }

  #askOffset(instant: number): number {
    let year = 0
    let month = 0
    let day = 0
    let hour = 0
    let minute = 0
    let second = 0
    let beforeChrist = false
    for (const part of this.#format!.formatToParts(instant)) {
      if (part.type === "year") year = Number(part.value)
      else if (part.type === "month") month = Number(part.value)
      else if (part.type === "day") day = Number(part.value)
      else if (part.type === "hour") hour = Number(part.value)
      else if (part.type === "minute") minute = Number(part.value)
      else if (part.type === "second") second = Number(part.value)
      else if (part.type === "era") beforeChrist = part.value === "B"
    }
    const wall = new Date(0)
    wall.setUTCFullYear(beforeChrist ? 1 - year : year, month - 1, day)
    wall.setUTCHours(hour, minute, second)
    return wall.getTime() - Math.floor(instant / 1000) * 1000
  }
}
