import { type Event, NAME_OF_KIND } from "../../src/domain/event/Event.ts"
import type { Random } from "../../src/domain/simulate/random.ts"

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

/** New people keep coming: what these many events are about is a crowd of its own, mostly. */
const EVENTS_A_CROWD = 2000
const USERS = 80
const DEVICES = 100
/** Users of one family may be joined, those of different ones never are, or all would end as one person. */
const FAMILY = 4

const NAMES = ["page_view", "click", "purchase", "feature_used"]
const FEATURES = ["export", "import", "share", "search"]

/** Events that may be sent once more. */
const REMEMBERED = 500

/**
 * Events of people on devices, for as long as they are asked for: some link a device, some join two users of a family or
 * part them, some come late, some come again.
 */
export const makeLoad = (random: Random, name: string) => {
  const recent: Array<Event> = []
  let made = 0

  const next = (now: number): Event => {
    if (recent.length > 0 && random.chance(0.05)) return random.oneOf(recent)
    const late = random.chance(0.1)
    const time = Math.round(now - (late ? random.skewed(2 * DAY, 45 * DAY) : random.skewed(MINUTE, 60 * MINUTE)))
    // Some are back from the crowd before.
    const crowd = Math.max(0, Math.floor(made / EVENTS_A_CROWD) - (random.chance(0.2) ? 1 : 0))
    const number = random.between(0, USERS - 1)
    const userOf = (n: number) => `${name}.user-${crowd}-${n}`
    const relative = userOf(number - (number % FAMILY) + random.between(0, FAMILY - 1))
    const device = `${name}.device-${crowd}-${random.between(0, DEVICES - 1)}`
    const event = eventOf(userOf(number), relative, device, time)
    if (recent.length < REMEMBERED) recent.push(event)
    else recent[made % REMEMBERED] = event
    return event
  }

  const eventOf = (user: string, relative: string, device: string, time: number): Event => {
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
    if (kind < 0.02) {
      const stated = random.chance(0.6) ? "alias" : "unalias"
      return {
        ...common,
        kind: stated,
        name: NAME_OF_KIND[stated],
        userId: user,
        anonymousId: null,
        body: { previousId: relative },
      }
    }
    if (kind < 0.06) {
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
