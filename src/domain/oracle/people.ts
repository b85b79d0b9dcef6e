import type { Event } from "../event/Event.ts"
import { deviceOwners, isLink } from "./deviceOwners.ts"
import { canonicalUsers, previousIdOf } from "./userGroups.ts"

export interface People {
  /**
   * The person of every distinct id that an event names: `u:…`, `a:…`, and `a:…#older` for what a device did before
   * its merge window.
   */
  readonly personOf: ReadonlyMap<string, string>
  /** Every person's events. */
  readonly events: ReadonlyArray<ReadonlyArray<Event>>
  /** Events of nobody (docs/reference/semantics.md, Identity: personless). */
  readonly personless: ReadonlyArray<Event>
}

/**
 * Gives every event to its person (docs/explanation/identity.md): to its user; else to its device's owner from the merge window before the
 * device's earliest link on; else to the device itself.
 */
export const people = (events: ReadonlyArray<Event>, mergeWindowMillis: number | null): People => {
  const canonical = canonicalUsers(events)
  const owners = deviceOwners(events)
  const personOf = new Map<string, string>()
  const eventsOf = new Map<string, Array<Event>>()
  const personless: Array<Event> = []

  const personOfUser = (userId: string): string => `u:${canonical.get(userId) ?? userId}`
  const give = (group: string, event: Event): void => {
    const given = eventsOf.get(group)
    if (given === undefined) eventsOf.set(group, [event])
    else given.push(event)
  }

  for (const event of events) {
    const { userId, anonymousId } = event
    const previousId = previousIdOf(event)
    const owner = anonymousId === null ? undefined : owners.get(anonymousId)
    if (userId !== null) personOf.set(`u:${userId}`, personOfUser(userId))
    if (previousId !== null) personOf.set(`u:${previousId}`, personOfUser(previousId))
    if (anonymousId !== null && (userId === null || isLink(event))) {
      personOf.set(`a:${anonymousId}`, owner === undefined ? `a:${anonymousId}` : personOfUser(owner.userId))
    }

    if (userId !== null) give(personOfUser(userId), event)
    else if (anonymousId === null) personless.push(event)
    else if (owner === undefined) give(`a:${anonymousId}`, event)
    else if (mergeWindowMillis === null || event.time >= owner.linkTime - mergeWindowMillis) {
      give(personOfUser(owner.userId), event)
    } else {
      personOf.set(`a:${anonymousId}#older`, `a:${anonymousId}#older`)
      // Free, since the device has an owner; and unlike `a:…#older` no other device can be called so.
      give(`a:${anonymousId}`, event)
    }
  }
  return { personOf, events: [...eventsOf.values()], personless }
}
