import type { Event, EventKind } from "../../src/domain/event/Event.ts"
import { NAME_OF_KIND } from "../../src/domain/event/Event.ts"
import type { Random } from "../../src/domain/simulate/random.ts"

/**
 * Small histories in which partitions meet: a few users and devices that nobody else has, linked late and across,
 * joined in chains and parted again, around the border of the merge window.
 */

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const NOON = Date.parse("2024-06-15T12:00:00Z")

/** Distances that matter: ties, pauses of sessions, midnights, both sides of the 30 days before a link. */
const MOMENTS = [
  0,
  0,
  1,
  29 * MINUTE,
  31 * MINUTE,
  DAY,
  -DAY,
  -30 * DAY,
  -30 * DAY - 1,
  -30 * DAY + 1,
  -45 * DAY,
  -61 * DAY,
]

const NAMES = ["page_view", "click", "purchase", "feature_used"]
const FEATURES = ["export", "import"]

/** Events of one meeting in order of arrival, some of them repeated; `name` keeps its ids apart from all others. */
export const meeting = (random: Random, name: string): ReadonlyArray<Event> => {
  const users = Array.from({ length: random.between(2, 4) }, (_, n) => `${name}.u${n}`)
  const devices = Array.from({ length: random.between(1, 3) }, (_, n) => `${name}.d${n}`)
  // Some meetings are all about joining, some about who owns a device.
  const aliases = random.oneOf([0.05, 0.2, 0.6])
  const links = random.oneOf([0.2, 0.5])
  const events: Array<Event> = []
  const length = random.between(5, 14)
  while (events.length < length) {
    if (events.length > 0 && random.chance(0.08)) {
      events.push(random.oneOf(events))
      continue
    }
    const time = NOON + random.oneOf(MOMENTS) + random.oneOf([0, 0, 0, 1, 5])
    const id = `${name}.${events.length}`
    if (random.chance(aliases)) {
      const kind: EventKind = random.chance(0.7) ? "alias" : "unalias"
      const body = { previousId: random.oneOf(users) }
      events.push(eventOf({ id, kind, name: NAME_OF_KIND[kind], userId: random.oneOf(users), time, body }))
      continue
    }
    const identifies = random.chance(0.15)
    const anonymous = identifies || random.chance(0.6)
    const user = identifies || !anonymous || random.chance(links)
    events.push(
      eventOf({
        id,
        kind: identifies ? "identify" : "track",
        name: identifies ? NAME_OF_KIND.identify : random.oneOf(NAMES),
        userId: user ? random.oneOf(users) : null,
        anonymousId: anonymous ? random.oneOf(devices) : null,
        time,
        body: { properties: { feature_name: random.oneOf(FEATURES) } },
      }),
    )
  }
  return events
}

/** An event of which only what a story is about has to be said. */
export const eventOf = (
  over: Pick<Event, "id" | "kind" | "time" | "body"> & Partial<Event> & { readonly name: string },
): Event => ({
  userId: null,
  anonymousId: null,
  sessionId: null,
  timestamp: over.time,
  sentAt: null,
  receivedAt: null,
  warnings: [],
  ...over,
})
