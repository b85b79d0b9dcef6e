import type { Event } from "../../src/domain/event/Event.ts"
import { Random } from "../../src/domain/simulate/random.ts"

export const DAYS = 30
/** A whole month, in the reporting time zone: what a range of all days asks for. */
export const FIRST_INSTANT = Date.UTC(2026, 5, 1)
const PERSONS = 50_000
const FEATURES = 20
const DAY_MILLIS = 86_400_000

/** Events of one visit on average; the others of a person come on other days. */
const VISIT_EVENTS = 5

const STEPS = ["page_view", "sign_up", "add_to_cart", "purchase"] as const

/** The steps of the funnel that is measured. */
export const FUNNEL_STEPS: ReadonlyArray<string> = STEPS

const PATHS = ["/", "/pricing", "/docs", "/reports", "/settings", "/team", "/billing", "/export"]
const LOCALES = ["de-DE", "en-US", "en-GB", "fr-FR", "ja-JP", "pt-BR"]
const PLANS = ["free", "team", "business"]

interface Visit {
  readonly time: number
  readonly person: number
}

/**
 * Events of the data set that budgets are measured on: 30 days, five names, 20 features, up to 50,000 persons with a
 * device and a user id each, about 300 bytes an event as one JSON object. In order of time, the same every time.
 *
 * A person begins on a device; `sign_up` carries both ids, and from then on events carry the user id, half of them also
 * the device's.
 */
export function* dataset(count: number): Generator<Event> {
  const random = new Random(20_260_601)
  const persons = Math.min(PERSONS, Math.ceil(count / 20))
  const isKnown = new Uint8Array(persons)
  let left = count
  for (let day = 0; day < DAYS; day++) {
    const today = Math.round(left / (DAYS - day))
    left -= today
    const visits: Array<Visit> = []
    for (let made = 0; made < today;) {
      const person = random.uint32() % persons
      const size = Math.min(1 + (random.uint32() % (2 * VISIT_EVENTS - 1)), today - made)
      let time = FIRST_INSTANT + day * DAY_MILLIS + Math.floor(random.unit() * (DAY_MILLIS - 1_200_000))
      for (let n = 0; n < size; n++) {
        visits.push({ time, person })
        time += 2_000 + (random.uint32() % 120_000)
      }
      made += size
    }
    visits.sort((a, b) => a.time - b.time || a.person - b.person)
    for (const visit of visits) yield eventOf(visit, isKnown, random)
  }
}

const eventOf = ({ time, person }: Visit, isKnown: Uint8Array, random: Random): Event => {
  const was = isKnown[person] === 1
  const name = nameOf(was, random)
  if (name === "sign_up") isKnown[person] = 1
  const known = isKnown[person] === 1
  const device = !known || name === "sign_up" || random.chance(0.5)
  const path = PATHS[random.uint32() % PATHS.length]!
  const own =
    name === "feature_used"
      ? { feature_name: `feature_${random.uint32() % FEATURES}` }
      : name === "purchase"
        ? { amount: (random.uint32() % 20_000) / 100, currency: "EUR" }
        : { referrer: "direct" }
  return {
    id: uuid(random),
    kind: "track",
    name,
    userId: known ? `user-${String(person).padStart(6, "0")}` : null,
    anonymousId: device ? `device-${String(person).padStart(6, "0")}-3f2a91c4` : null,
    sessionId: null,
    time,
    timestamp: time,
    sentAt: null,
    receivedAt: time + (random.uint32() % 400),
    warnings: [],
    body: {
      properties: { path, plan: PLANS[random.uint32() % PLANS.length]!, ...own },
      context: { locale: LOCALES[person % LOCALES.length]!, platform: "web" },
    },
  }
}

const nameOf = (known: boolean, random: Random): string => {
  const dice = random.uint32() % 100
  if (dice < 45) return "page_view"
  if (dice < 75) return "feature_used"
  if (!known) return dice < 90 ? "sign_up" : "page_view"
  return dice < 92 ? "add_to_cart" : "purchase"
}

const uuid = (random: Random): string => {
  let hex = ""
  for (let n = 0; n < 4; n++) hex += random.uint32().toString(16).padStart(8, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** An event as a client would send it, and as peers store it. */
export const asJson = (event: Event): string =>
  JSON.stringify({
    id: event.id,
    type: event.kind,
    event: event.name,
    userId: event.userId,
    anonymousId: event.anonymousId,
    timestamp: new Date(event.time).toISOString(),
    receivedAt: new Date(event.receivedAt!).toISOString(),
    ...event.body,
  })
