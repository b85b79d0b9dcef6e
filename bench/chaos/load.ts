import { type Event, NAME_OF_KIND } from "../../src/domain/event/Event.ts"
import type { Random } from "../../src/domain/simulate/random.ts"

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

const USERS = 300
const DEVICES = 400
const NAMES = ["page_view", "click", "purchase", "feature_used"]
const FEATURES = ["export", "import", "share", "search"]

/** Events that may be sent once more. */
const REMEMBERED = 500

/**
 * Events of a few hundred people on a few more devices, for as long as they are asked for: some link a device, some
 * join two users or part them, some come late, some come again.
 */
export const makeLoad = (random: Random, name: string) => {
  const recent: Array<Event> = []
  let made = 0

  const next = (now: number): Event => {
    if (recent.length > 0 && random.chance(0.05)) return random.oneOf(recent)
    const late = random.chance(0.1)
    const time = Math.round(now - (late ? random.skewed(2 * DAY, 45 * DAY) : random.skewed(MINUTE, 60 * MINUTE)))
    const user = `user-${random.between(1, USERS)}`
    const device = `device-${random.between(1, DEVICES)}`
    const event = eventOf(user, device, time)
    if (recent.length < REMEMBERED) recent.push(event)
    else recent[made % REMEMBERED] = event
    return event
  }

  const eventOf = (user: string, device: string, time: number): Event => {
    const common = {
      id: `${name}.${++made}`,
      sessionId: null,
      time,
      timestamp: time,
      sentAt: null,
      receivedAt: null,
      warnings: [],
    }
    const kind = random.unit()
    if (kind < 0.01) {
      // Neighbours, so that chains come about, and not one person of all.
      const previousId = `user-${random.between(1, USERS / 5) * 5}`
      const stated = random.chance(0.6) ? "alias" : "unalias"
      return {
        ...common,
        kind: stated,
        name: NAME_OF_KIND[stated],
        userId: user,
        anonymousId: null,
        body: { previousId },
      }
    }
    if (kind < 0.05) {
      return { ...common, kind: "identify", name: NAME_OF_KIND.identify, userId: user, anonymousId: device, body: {} }
    }
    const anonymous = random.chance(0.5)
    return {
      ...common,
      kind: "track",
      name: random.oneOf(NAMES),
      userId: anonymous ? null : user,
      anonymousId: anonymous || random.chance(0.3) ? device : null,
      body: { properties: { feature_name: random.oneOf(FEATURES) } },
    }
  }

  return { next }
}
