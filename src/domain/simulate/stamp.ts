import { type Day, formatDay, MILLIS_PER_DAY } from "../time/calendar.ts"

const digits = (count: number, width: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, value) => String(value).padStart(width, "0"))

const SECONDS = digits(60, 2)
const MINUTES_OF_DAY = digits(24, 2).flatMap((hour) => SECONDS.map((minute) => `T${hour}:${minute}:`))
const MILLIS = digits(1000, 3).map((milli) => `.${milli}Z`)

/**
 * Writes instants as `formatInstant` does, by table: an event has two or three, and `Date` would take most of the time
 * of a simulation.
 */
export class Stamp {
  readonly #days = new Map<Day, string>()

  of(millis: number): string {
    const day = Math.floor(millis / MILLIS_PER_DAY)
    const ofDay = millis - day * MILLIS_PER_DAY
    const minute = Math.floor(ofDay / 60_000)
    const ofMinute = ofDay - minute * 60_000
    const second = Math.floor(ofMinute / 1000)
    return this.#day(day) + MINUTES_OF_DAY[minute]! + SECONDS[second]! + MILLIS[ofMinute - second * 1000]!
  }

  #day(day: Day): string {
    let text = this.#days.get(day)
    if (text === undefined) {
      text = formatDay(day)
      this.#days.set(day, text)
    }
    return text
  }
}
