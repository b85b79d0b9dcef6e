const MILLIS_PER_MINUTE = 60_000

/**
 * The calendar of the reporting time zone (docs/reference/semantics.md, Time: "Day = calendar day in the project's reporting time zone,
 * DST days included"). Days are `YYYY-MM-DD`, so they order as texts.
 *
 * The platform is asked for every instant; its answers are kept by the minute, since asking is slow. A minute that
 * holds a midnight (offsets of whole minutes are not a law) is asked for anew each time.
 */
export class LocalCalendar {
  readonly #format: Intl.DateTimeFormat
  readonly #dayOfMinute = new Map<number, string | null>()

  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat("en-US", {
      timeZone,
      calendar: "gregory",
      numberingSystem: "latn",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
    })
  }

  /** The local day of an instant. */
  dayOf(instant: number): string {
    const minute = Math.floor(instant / MILLIS_PER_MINUTE)
    let day = this.#dayOfMinute.get(minute)
    if (day === undefined) {
      const first = this.#ask(minute * MILLIS_PER_MINUTE)
      const last = this.#ask((minute + 1) * MILLIS_PER_MINUTE - 1)
      day = first === last ? first : null
      this.#dayOfMinute.set(minute, day)
    }
    return day ?? this.#ask(instant)
  }

  #ask(instant: number): string {
    const parts = this.#format.formatToParts(instant)
    const part = (type: string): string => parts.find((candidate) => candidate.type === type)!.value
    return `${part("year").padStart(4, "0")}-${part("month")}-${part("day")}`
  }
}
