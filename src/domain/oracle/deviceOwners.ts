import type { Event } from "../event/Event.ts"
import { compareCodePoints } from "./codePoints.ts"

/** The earliest link of a device: whose it is, and since when. */
export interface Ownership {
  readonly userId: string
  readonly linkTime: number
}

/**
 * Whose a device is (docs/explanation/identity.md): the user of its earliest link by event time, at one instant the smaller user id. A
 * link is any event, of any kind, that carries both ids.
 */
export const deviceOwners = (events: ReadonlyArray<Event>): ReadonlyMap<string, Ownership> => {
  const owners = new Map<string, Ownership>()
  for (const { userId, anonymousId, time } of events) {
    if (userId === null || anonymousId === null) continue
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
