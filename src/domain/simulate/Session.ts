import type { EventKind } from "../event/Event.ts"
import type { JsonObject } from "../event/json.ts"
import type { Delivery } from "./Delivery.ts"
import { type Device, documentationIp } from "./Device.ts"
import type { Place } from "./places.ts"
import type { Random } from "./random.ts"
import type { Report } from "./RawEvent.ts"

/** Share of sessions without network from the start, and of sendings that fail: together about 2 % of the events. */
const OFFLINE_SHARE = 0.005
const FAILED_SENDING_SHARE = 0.0155
const REPEATED_SHARE = 0.01

const HOUR = 3_600_000
const LATE_MIN = 2 * HOUR
const LATE_MAX = 5 * 24 * HOUR
/** The longest way from a device to us. */
const LATENCY_MAX = 2000
const FLUSH_EVERY = 5000

/** Longest pause that leaves a session whole by the usual rule of 30 minutes. */
const PAUSE_MAX = 29 * 60_000
/** Share of pauses for which the tab stays open, with its session id, but the person is gone for longer. */
const AWAY_SHARE = 0.003

/** What a session happens in. */
export interface Scene {
  readonly random: Random
  readonly delivery: Delivery
  /** Nothing happens from this instant on, true time. */
  readonly end: number
  /** How many sessions there were so far; their ids are this count. */
  sessions: number
}

/**
 * One person at one device: a clock that runs from event to event, and the tracker that reports them, well or badly.
 *
 * The device's clock may be skewed, the network may fail for hours, and an event may be sent twice; what happened, in
 * true time, is the same.
 */
export class Session {
  readonly device: Device
  /** True time. */
  now: number
  readonly #scene: Scene
  readonly #place: Place
  readonly #id: string
  readonly #start: number
  readonly #latency: number
  readonly #offlineUntil: number
  #reported = false
  /** When the current sending was due, and when it succeeded. */
  #due = -1
  #sent = -1

  constructor(scene: Scene, device: Device, place: Place, start: number) {
    const { random } = scene
    this.device = device
    this.now = start
    this.#scene = scene
    this.#place = place
    scene.sessions++
    this.#id = `s${scene.sessions}`
    this.#start = start
    // One latency a session: the correction of skew adds it to every event time, and must not reorder them.
    this.#latency = Math.floor(random.skewed(60, LATENCY_MAX - 20)) + 20
    this.#offlineUntil = random.chance(OFFLINE_SHARE) ? start + lateness(random) : start
    if (device.type !== "desktop" && random.chance(0.4)) device.ip = documentationIp(random)
  }

  /** Lets time pass: seconds, seldom minutes. */
  pause(medianSeconds: number): void {
    const { random } = this.#scene
    this.now += random.chance(AWAY_SHARE)
      ? random.between(PAUSE_MAX, 4 * HOUR)
      : Math.floor(random.skewed(medianSeconds * 1000, PAUSE_MAX)) + 1
  }

  page(properties: JsonObject): void {
    this.#report("page", "page_view", properties)
  }

  track(event: string, properties: JsonObject = {}): void {
    this.#report("track", event, properties)
  }

  /** The tracker learns who uses the device; every event from here on carries both ids. */
  signInAs(userId: string): void {
    this.device.signedInAs = userId
    this.#report("identify", "identify", {})
  }

  signOut(): void {
    this.track("sign_out")
    this.device.signedInAs = null
  }

  /** The signed-in user gets another id. */
  alias(previousId: string, userId: string): void {
    this.device.signedInAs = userId
    this.#report("alias", "alias", {}, previousId)
  }

  #report(type: EventKind, event: string, properties: JsonObject, previousId: string | null = null): void {
    const { random, delivery, end } = this.#scene
    // Corrected for skew, an event is dated its latency after it happened; that too shall lie within the days asked for.
    if (this.now + this.#latency >= end) return
    const { device } = this
    const sent = this.#sentAt()
    const receivedAt = sent + this.#latency
    const report: Report = {
      id: null,
      type,
      event,
      userId: device.signedInAs,
      previousId,
      // An alias is about two user ids; clients put no device on it.
      anonymousId: previousId === null ? device.anonymousId : null,
      sessionId: this.#id,
      timestamp: this.now + device.clockSkew,
      sentAt: device.buffers ? sent + device.clockSkew : null,
      receivedAt,
      properties,
      context: this.#reported ? device.shortContext : this.#fullContext(),
    }
    this.#reported = true
    delivery.put(report)
    if (random.chance(REPEATED_SHARE)) delivery.put(report, receivedAt + repeatedAfter(random))
  }

  /** When what happens now leaves the device, true time. Events of one sending share its fate. */
  #sentAt(): number {
    const due = this.device.buffers
      ? this.#start + (Math.floor((this.now - this.#start) / FLUSH_EVERY) + 1) * FLUSH_EVERY
      : this.now
    if (due !== this.#due) {
      const { random } = this.#scene
      this.#due = due
      this.#sent =
        due < this.#offlineUntil
          ? this.#offlineUntil
          : random.chance(FAILED_SENDING_SHARE)
            ? due + lateness(random)
            : due
    }
    return this.#sent
  }

  #fullContext(): JsonObject {
    const { device } = this
    const { locale, country, city } = this.#place
    return { ...device.shortContext, os: device.os, browser: device.browser, locale, country, city, ip: device.ip }
  }
}

/** From two hours to five days, mostly less than one; the margin keeps flush and latency within the five. */
const lateness = (random: Random): number => {
  const u = random.unit()
  return LATE_MIN + Math.floor(u * u * u * (LATE_MAX - LATE_MIN - FLUSH_EVERY - LATENCY_MAX))
}

/** Most repetitions are retries within seconds; some come from a queue that was written to disk. */
const repeatedAfter = (random: Random): number =>
  random.chance(0.6) ? random.between(0, 10_000) : random.between(10_000, 24 * HOUR)
