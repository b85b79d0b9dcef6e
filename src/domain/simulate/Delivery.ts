import { type Day, MILLIS_PER_DAY } from "../time/calendar.ts"
import type { Random } from "./random.ts"
import type { RawEvent, Report } from "./RawEvent.ts"
import { Stamp } from "./stamp.ts"

interface Parcel {
  readonly arrivesAt: number
  readonly report: Report
}

/**
 * Events on their way to us, by UTC day of arrival. Most are taken out on the day on which they are put in, late and
 * repeated ones a few days after: what it holds is bounded by a day's events, whatever the length of the simulation.
 */
export class Delivery {
  readonly #random: Random
  readonly #stamp = new Stamp()
  readonly #parcels = new Map<Day, Array<Parcel>>()

  constructor(random: Random) {
    this.#random = random
  }

  /** @param arrivesAt - later than the report says if this is its repetition */
  put(report: Report, arrivesAt: number = report.receivedAt): void {
    const day = Math.floor(arrivesAt / MILLIS_PER_DAY)
    const parcels = this.#parcels.get(day)
    if (parcels === undefined) this.#parcels.set(day, [{ arrivesAt, report }])
    else parcels.push({ arrivesAt, report })
  }

  /** Takes out what arrives on a day, in order of arrival; the events of one ms in the order they were put in. */
  *take(day: Day): Generator<RawEvent> {
    const parcels = this.#parcels.get(day) ?? []
    this.#parcels.delete(day)
    parcels.sort((a, b) => a.arrivesAt - b.arrivesAt)
    for (const { report } of parcels) yield this.#write(report)
  }

  /** Takes out all that is left, in order of arrival. */
  *takeAll(): Generator<RawEvent> {
    for (const day of [...this.#parcels.keys()].sort((a, b) => a - b)) yield* this.take(day)
  }

  #write(report: Report): RawEvent {
    report.id ??= this.#random.uuid()
    return {
      id: report.id,
      type: report.type,
      event: report.event,
      ...(report.userId !== null && { userId: report.userId }),
      ...(report.previousId !== null && { previousId: report.previousId }),
      ...(report.anonymousId !== null && { anonymousId: report.anonymousId }),
      sessionId: report.sessionId,
      timestamp: this.#stamp.of(report.timestamp),
      ...(report.sentAt !== null && { sentAt: this.#stamp.of(report.sentAt) }),
      receivedAt: this.#stamp.of(report.receivedAt),
      properties: report.properties,
      context: report.context,
    }
  }
}
