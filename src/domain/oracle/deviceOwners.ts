import type { Event } from "../event/Event.ts"
import { compareCodePoints } from "./codePoints.ts"

/** The earliest link of a device: whose it is, and since when. */
export interface Ownership {
  readonly userId: string
  readonly linkTime: number
}

/**
 * A link is an event that carries both ids, of any kind but those that only a newer version knows
 * (docs/explanation/identity.md).
 */
export const isLink = (event: Event): event is Event & { readonly userId: string; readonly anonymousId: string } =>
  event.userId !== null && event.anonymousId !== null && !event.kind.startsWith("unknown(")

/**
 * Whose a device is (docs/explanation/identity.md): the user of its earliest link by event time, at one instant the smaller user id.
 */
export const deviceOwners = (events: ReadonlyArray<Event>): ReadonlyMap<string, Ownership> => {
  const owners = new Map<string, Ownership>()
  for (const { userId, anonymousId, time } of events.filter(isLink)) {
    const owner = owners.get(anonymousId)
    if (
      owner === undefined ||
      time < owner.linkTime ||
      (time === owner.linkTime && compareCodePoints(userId, owner.userId) < 0)
    ) {
      owners.set(anonymousId, { userId, linkTime: time })
    }
  }
  return owners
}
