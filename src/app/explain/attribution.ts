import { anonymousDistinctId, type DistinctId, userDistinctId } from "../../domain/identity/distinctId.ts"
import { type Identity, mergeBorder, olderPartOf } from "../../domain/identity/persons.ts"
import type { Batch } from "../../domain/log/batch.ts"

/** A person's number; `null` stands for nobody. */
export type Person = number | null

/** Whose events are, by the read model's who-is-who. */
export class Attribution {
  readonly #rows: ReadonlyMap<DistinctId, Identity>
  readonly #mergeWindowMillis: number | null

  constructor(rows: ReadonlyArray<Identity>, mergeWindowMillis: number | null) {
    this.#rows = new Map(rows.filter(({ older }) => !older).map((row) => [row.distinctId, row]))
    this.#mergeWindowMillis = mergeWindowMillis
  }

  /** Whose an event is: its user's, else its device's at that time. */
  ofEvent(batch: Batch, place: number): Person {
    const user = batch.users[batch.userIndex(place)]
    if (user !== undefined) return this.ofId(userDistinctId(user))
    const device = batch.anonymous[batch.anonymousIndex(place)]
    return device === undefined ? null : this.#ofDevice(anonymousDistinctId(device), batch.times[place]!)
  }

  /** Whose a distinct id is; a device's, from the merge border on. */
  ofId(distinctId: DistinctId): Person {
    return this.#rows.get(distinctId)?.person ?? null
  }

  #ofDevice(distinctId: DistinctId, time: number): Person {
    const row = this.#rows.get(distinctId)
    if (row === undefined) return null
    return time >= mergeBorder(row.link, this.#mergeWindowMillis) ? row.person : olderPartOf(row.key)
  }

  /** Whether an event's link is the one that says whose its device is. */
  decides(device: DistinctId, userId: string, time: number): boolean {
    const link = this.#rows.get(device)?.link
    return link?.time === time && link.userId === userId
  }

  /** The distinct ids of some persons. An older part of a device is called by the device. */
  idsOf(persons: ReadonlySet<number>): ReadonlyMap<number, ReadonlyArray<DistinctId>> {
    const ids = new Map<number, Array<DistinctId>>()
    const add = (person: number, distinctId: DistinctId) => {
      if (persons.has(person)) ids.set(person, [...(ids.get(person) ?? []), distinctId])
    }
    for (const { key, person, distinctId } of this.#rows.values()) {
      add(person, distinctId)
      add(olderPartOf(key), distinctId)
    }
    return ids
  }
}
