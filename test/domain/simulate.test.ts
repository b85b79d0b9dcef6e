import { Result } from "effect"
import { describe, expect, it } from "vitest"
import { admit, type Door } from "../../src/domain/event/admit.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { FEATURES } from "../../src/domain/simulate/product.ts"
import { Random } from "../../src/domain/simulate/random.ts"
import type { RawEvent } from "../../src/domain/simulate/RawEvent.ts"
import { simulate, SIMULATION_START, type SimulateOptions } from "../../src/domain/simulate/simulate.ts"
import { MILLIS_PER_DAY } from "../../src/domain/time/calendar.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"

const OPTIONS = { users: 4000, days: 30, seed: 7 } as const satisfies SimulateOptions
const START = Date.parse(SIMULATION_START)
const END = START + OPTIONS.days * MILLIS_PER_DAY
const HOUR = 3_600_000

const ndjson = (options: SimulateOptions): string => {
  let text = ""
  for (const raw of simulate(options)) text += `${JSON.stringify(raw)}\n`
  return text
}

const door: Door = {
  now: Date.parse("2030-01-01"),
  mode: "import",
  skew: "correct",
  zone: TimeZone.utc,
  fallbackId: () => expect.fail("an event came without an id"),
}

const admitted = (raw: RawEvent): Event => {
  const result = admit(raw, door)
  return Result.isSuccess(result) ? result.success : expect.fail(result.failure.detail)
}

const all = [...simulate(OPTIONS)]
const seen = new Set<string>()
const once = all.filter((raw) => !seen.has(raw.id) && seen.add(raw.id))
const events = once.map(admitted)

const named = (name: string): ReadonlyArray<Event> => events.filter((event) => event.name === name)
const property = (event: Event, key: string): unknown => (event.body["properties"] as Record<string, unknown>)[key]

/** The distinct values of one id beside each value of another. */
const beside = (of: "userId" | "anonymousId", other: "userId" | "anonymousId"): Map<string, Set<string>> => {
  const found = new Map<string, Set<string>>()
  for (const event of events) {
    if (event[of] === null || event[other] === null) continue
    found.set(event[of], (found.get(event[of]) ?? new Set()).add(event[other]))
  }
  return found
}

const sharesOf = (counts: ReadonlyArray<number>): ReadonlyArray<number> => {
  const sum = counts.reduce((a, b) => a + b, 0)
  return counts.map((count) => count / sum)
}

describe("simulate is a function of its options", () => {
  const small: SimulateOptions = { users: 150, days: 12, seed: 42 }

  it("the same options give the same bytes", () => {
    expect(ndjson(small)).toBe(ndjson(small))
    expect(ndjson({ ...small, start: SIMULATION_START })).toBe(ndjson(small))
  })

  it("two runs that are read in turns don't disturb each other", () => {
    const [a, b] = [simulate(small), simulate(small)]
    for (const raw of a) expect(b.next().value).toEqual(raw)
    expect(b.next().done).toBe(true)
  })

  it("another seed gives other events, also one that differs above 32 bits only", () => {
    expect(ndjson({ ...small, seed: 43 })).not.toBe(ndjson(small))
    expect(ndjson({ ...small, seed: 42 + 2 ** 32 })).not.toBe(ndjson(small))
    expect(ndjson({ ...small, seed: -42 })).not.toBe(ndjson(small))
  })

  it("starts on the day asked for", () => {
    const times = [...simulate({ ...small, start: "2024-02-27" })].map((raw) => admitted(raw).time)
    expect(Math.min(...times)).toBeGreaterThanOrEqual(Date.parse("2024-02-27"))
    expect(Math.max(...times)).toBeLessThan(Date.parse("2024-02-27") + 12 * MILLIS_PER_DAY)
  })

  it("nobody does nothing, and one person on one day does something", () => {
    expect(ndjson({ users: 0, days: 3, seed: 1 })).toBe("")
    expect(ndjson({ users: 1, days: 1, seed: 1 })).not.toBe("")
  })

  it.each([
    { users: -1 },
    { users: 1.5 },
    { days: 0 },
    { days: Number.NaN },
    { seed: 0.5 },
    { start: "2026-02-30" },
    { start: "1969-12-31" },
  ])("refuses %o at once", (wrong) => {
    expect(() => simulate({ ...small, ...wrong })).toThrow(RangeError)
  })
})

describe("what the door sees", () => {
  it("admits every event, as it is and after a round trip through JSON, without a warning", () => {
    for (const raw of all) {
      const event = admitted(raw)
      expect(event.warnings).toEqual([])
      expect(admitted(JSON.parse(JSON.stringify(raw)) as RawEvent)).toEqual(event)
    }
  })

  it("dates every event within the days asked for, whatever the device's clock says", () => {
    for (const event of events) {
      expect(event.time).toBeGreaterThanOrEqual(START)
      expect(event.time).toBeLessThan(END)
    }
  })

  it("writes times as ISO 8601 with ms", () => {
    for (const { timestamp, sentAt, receivedAt } of all) {
      for (const text of [timestamp, sentAt ?? timestamp, receivedAt]) expect(new Date(text).toISOString()).toBe(text)
    }
  })

  it("receives in order but for repetitions", () => {
    const receipts = once.map((raw) => raw.receivedAt)
    expect(receipts).toEqual([...receipts].sort())
  })

  it("is about 20 events a user and 300 bytes an event", () => {
    const bytes = all.reduce((sum, raw) => sum + Buffer.byteLength(JSON.stringify(raw)) + 1, 0)
    expect(bytes / all.length).toBeGreaterThan(240)
    expect(bytes / all.length).toBeLessThan(360)
    expect(all.length / OPTIONS.users).toBeGreaterThan(17)
    expect(all.length / OPTIONS.users).toBeLessThan(23)
  })
})

describe("what goes wrong on the way", () => {
  it("2 % are late: by 1 hour to 5 days", () => {
    const delays = events.map((event) => event.receivedAt! - event.time)
    const late = delays.filter((delay) => delay > HOUR)
    expect(late.length / events.length).toBeGreaterThan(0.015)
    expect(late.length / events.length).toBeLessThan(0.025)
    expect(Math.max(...late)).toBeLessThan(120 * HOUR)
    expect(Math.max(...late)).toBeGreaterThan(72 * HOUR)
    expect(Math.max(...delays.filter((delay) => delay <= HOUR))).toBeLessThan(10_000)
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(0)
  })

  it("1 % are repeated, exactly, at once or up to a day later", () => {
    const first = new Map<string, string>()
    let repeated = 0
    let now = 0
    for (const raw of all) {
      const receipt = Date.parse(raw.receivedAt)
      if (first.has(raw.id)) {
        repeated++
        expect(JSON.stringify(raw)).toBe(first.get(raw.id))
        expect(now - receipt).toBeLessThanOrEqual(24 * HOUR)
      } else {
        first.set(raw.id, JSON.stringify(raw))
        now = receipt
      }
    }
    expect(repeated / once.length).toBeGreaterThan(0.008)
    expect(repeated / once.length).toBeLessThan(0.012)
  })

  it("some clocks are wrong, and the difference to receipt tells by how much", () => {
    const skews = events.filter((event) => event.sentAt !== null).map((event) => event.sentAt! - event.receivedAt!)
    const wrong = skews.filter((skew) => Math.abs(skew) > 10_000)
    expect(wrong.length / events.length).toBeGreaterThan(0.01)
    expect(wrong.length / events.length).toBeLessThan(0.08)
    expect(wrong.some((skew) => skew > 0)).toBe(true)
    expect(wrong.some((skew) => skew < 0)).toBe(true)
  })

  it("some events of one person share their millisecond", () => {
    const moments = new Map<string, number>()
    for (const event of events) {
      const moment = `${event.sessionId} ${event.timestamp}`
      moments.set(moment, (moments.get(moment) ?? 0) + 1)
    }
    const shared = [...moments.values()].filter((count) => count > 1).length
    expect(shared / moments.size).toBeGreaterThan(0.01)
    expect(shared / moments.size).toBeLessThan(0.1)
  })
})

describe("who they are", () => {
  it("identify links the device to the user, once the way to an account is gone", () => {
    expect(named("identify").every((event) => event.userId !== null && event.anonymousId !== null)).toBe(true)
    for (const signUp of named("sign_up").slice(0, 100)) {
      const session = events.filter((event) => event.sessionId === signUp.sessionId)
      const names = session.sort((a, b) => a.time - b.time).map((event) => event.name)
      for (const step of ["page_view", "click", "submit"]) {
        expect(names.indexOf(step)).toBeGreaterThanOrEqual(0)
        expect(names.indexOf(step)).toBeLessThan(names.indexOf("sign_up"))
      }
      if (signUp.time < END - HOUR) expect(names).toContain("identify")
    }
  })

  it("the way to an account loses people at every step", () => {
    const devices = (name: string, key: string, value: string): number =>
      new Set(named(name).flatMap((event) => (property(event, key) === value ? [event.anonymousId] : []))).size
    const steps = [
      new Set(events.map((event) => event.anonymousId)).size,
      devices("page_view", "page_name", "signup"),
      devices("click", "element_id", "signup_button"),
      devices("submit", "form_name", "signup"),
      new Set(named("sign_up").map((event) => event.anonymousId)).size,
    ]
    for (const [index, step] of steps.entries()) expect(step).toBeLessThan(steps[index - 1] ?? Infinity)
    expect(steps.at(-1)!).toBeGreaterThan(OPTIONS.users * 0.2)
  })

  it("has anonymous people, second devices, shared devices and aliases", () => {
    const anonymous = events.filter((event) => event.userId === null).length
    expect(anonymous / events.length).toBeGreaterThan(0.1)
    const devicesOf = [...beside("userId", "anonymousId").values()]
    expect(devicesOf.filter((devices) => devices.size > 1).length).toBeGreaterThan(OPTIONS.users * 0.05)
    // A renamed user is the same human under two ids on one device; shared ones have two who are no alias.
    const renamed = new Set(named("alias").flatMap((event) => [event.userId, event.body["previousId"] as string]))
    const sharers = [...beside("anonymousId", "userId").values()].filter(
      (users) => [...users].filter((user) => !renamed.has(user)).length > 1,
    )
    expect(sharers.length).toBeGreaterThan(OPTIONS.users * 0.002)
    expect(sharers.length).toBeLessThan(OPTIONS.users * 0.03)
    expect(named("alias").length).toBeGreaterThan(3)
    expect(named("alias").length).toBeLessThan(OPTIONS.users * 0.01)
  })

  it("an alias gives up an id that was in use, or might have been, for a new one", () => {
    for (const { userId, body, time } of named("alias")) {
      expect(body["previousId"]).not.toBe(userId)
      const before = events.filter((event) => event.userId === userId && event.time < time)
      expect(before).toEqual([])
    }
  })

  it("sessions on one device don't overlap, whoever uses it", () => {
    const spans = new Map<string, { device: string; from: number; to: number }>()
    for (const { sessionId, anonymousId, time } of events) {
      if (anonymousId === null) continue
      const span = spans.get(sessionId!)
      if (span === undefined) spans.set(sessionId!, { device: anonymousId, from: time, to: time })
      else Object.assign(span, { from: Math.min(span.from, time), to: Math.max(span.to, time) })
    }
    const sorted = [...spans.values()].sort((a, b) =>
      a.device === b.device ? a.from - b.from : a.device < b.device ? -1 : 1,
    )
    for (const [index, span] of sorted.entries()) {
      const previous = sorted[index - 1]
      if (previous?.device === span.device) expect(span.from).toBeGreaterThan(previous.to)
    }
  })
})

describe("what they do", () => {
  it("uses every feature, the popular ones far more, and those launched on the way not before", () => {
    const uses = new Map<unknown, Array<Event>>()
    for (const event of named("feature_used")) {
      const feature = property(event, "feature_name")
      const known = uses.get(feature)
      if (known === undefined) uses.set(feature, [event])
      else known.push(event)
      expect(property(event, "feature_version")).toMatch(/^\d+\.\d$/)
    }
    expect([...uses.keys()].sort()).toEqual(FEATURES.map((feature) => feature.name).sort())
    expect(uses.get("dashboard")!.length).toBeGreaterThan(20 * uses.get("audit_log")!.length)
    for (const { name, launch } of FEATURES) {
      const first = Math.min(...uses.get(name)!.map((event) => event.time))
      expect(first).toBeGreaterThanOrEqual(START + Math.floor(launch * OPTIONS.days) * MILLIS_PER_DAY)
    }
  })

  it("buys for amounts of at most two decimals that are the sum of the items", () => {
    const purchases = named("purchase")
    expect(purchases.length).toBeGreaterThan(100)
    for (const purchase of purchases) {
      const items = property(purchase, "items") as ReadonlyArray<{ quantity: number; price: number }>
      const cents = items.reduce((sum, item) => sum + item.quantity * Math.round(item.price * 100), 0)
      expect(property(purchase, "amount")).toBe(cents / 100)
      expect(property(purchase, "purchase_id")).toMatch(/^p-[0-9a-f]{12}$/)
    }
    const main = purchases.filter((purchase) => /^(USD|EUR|GBP)$/.test(String(property(purchase, "currency"))))
    expect(main.length / purchases.length).toBeGreaterThan(0.75)
  })

  it("meets errors, and signs in and out", () => {
    for (const error of named("error")) {
      expect(property(error, "error_type")).toEqual(expect.any(String))
      expect(property(error, "error_message")).toEqual(expect.any(String))
    }
    for (const name of ["error", "sign_in", "sign_out"]) expect(named(name).length).toBeGreaterThan(50)
  })

  it("opens every session with the whole context, from an address that is nobody's", () => {
    const opened = once.filter((raw) => "ip" in raw.context)
    expect(opened.length).toBe(new Set(once.map((raw) => raw.sessionId)).size)
    for (const { context } of opened) {
      expect(Object.keys(context)).toEqual(["device", "os", "browser", "locale", "country", "city", "ip"])
      expect(context["ip"]).toMatch(/^(192\.0\.2|198\.51\.100|203\.0\.113)\.\d{1,3}$/)
    }
    for (const { context } of once) expect(context["device"]).toEqual({ type: expect.any(String) })
  })

  it("rests at weekends and at night, by local time", () => {
    const byWeekday = [0, 0, 0, 0, 0, 0, 0]
    for (const { time } of events) {
      const index = Math.floor((time - START) / MILLIS_PER_DAY) % 7
      if (time < START + 28 * MILLIS_PER_DAY) byWeekday[index]!++
    }
    const shares = sharesOf(byWeekday)
    expect(Math.max(shares[5]!, shares[6]!)).toBeLessThan(0.7 * Math.min(...shares.slice(0, 5)))

    const tokyo = new Set(once.flatMap((raw) => (raw.context["country"] === "JP" ? [raw.sessionId] : [])))
    const hours = events.flatMap((event) =>
      tokyo.has(event.sessionId!) ? [new Date(event.time + 9 * HOUR).getUTCHours()] : [],
    )
    const nightly = hours.filter((hour) => hour >= 1 && hour < 6).length
    expect(nightly / hours.length).toBeLessThan(0.08)
  })

  it("grows, while few come back for long", () => {
    const people = (event: Event): string => event.userId ?? event.anonymousId ?? ""
    const week = (index: number): Set<string> =>
      new Set(events.filter((event) => Math.floor((event.time - START) / (7 * MILLIS_PER_DAY)) === index).map(people))
    const weeks = [week(0), week(1), week(2), week(3)]
    expect(weeks[3]!.size).toBeGreaterThan(weeks[1]!.size)
    const kept = [1, 2, 3].map(
      (index) => [...weeks[0]!].filter((person) => weeks[index]!.has(person)).length / weeks[0]!.size,
    )
    expect(kept[0]!).toBeGreaterThan(kept[2]!)
    expect(kept[2]!).toBeGreaterThan(0.1)
    expect(kept[0]!).toBeLessThan(0.6)
  })

  it("has heavy users and light ones", () => {
    const counts = new Map<string, number>()
    for (const { userId } of events) if (userId !== null) counts.set(userId, (counts.get(userId) ?? 0) + 1)
    const sorted = [...counts.values()].sort((a, b) => b - a)
    const topTenth = sorted.slice(0, sorted.length / 10).reduce((a, b) => a + b, 0)
    expect(topTenth / sorted.reduce((a, b) => a + b, 0)).toBeGreaterThan(0.25)
    expect(sorted.at(-1)!).toBeLessThan(5)
  })
})

describe("Random", () => {
  it("is sfc32: the numbers of an independent implementation with the same 128 bits", () => {
    // The reference recurrence on BigInt, which has no 32-bit conversions to get wrong.
    const mask = 0xffffffffn
    let [a, b, c, counter] = [5n, 1n, 0x9e3779b9n, 1n]
    const reference = (): number => {
      const result = (a + b + counter) & mask
      counter = (counter + 1n) & mask
      a = b ^ (b >> 9n)
      b = (c + (c << 3n)) & mask
      c = ((((c << 21n) | (c >> 11n)) & mask) + result) & mask
      return Number(result)
    }
    for (let round = 0; round < 15; round++) reference()
    const random = new Random(2 ** 32 + 5)
    for (let n = 0; n < 1000; n++) expect(random.uint32()).toBe(reference())
  })

  it("makes version 4 UUIDs that differ", () => {
    const random = new Random(1)
    const ids = Array.from({ length: 10_000 }, () => random.uuid())
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  it("keeps to its ranges and medians", () => {
    const random = new Random(3)
    const numbers = Array.from({ length: 10_000 }, () => random.between(-1, 2))
    expect([...new Set(numbers)].sort((a, b) => a - b)).toEqual([-1, 0, 1, 2])
    const skewed = Array.from({ length: 10_000 }, () => random.skewed(10, 500))
    expect(skewed.filter((value) => value < 10).length / skewed.length).toBeCloseTo(0.5, 1)
    expect(Math.max(...skewed)).toBeLessThanOrEqual(500)
  })
})
