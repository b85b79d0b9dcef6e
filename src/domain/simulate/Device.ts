import type { JsonObject } from "../event/json.ts"
import { type Random, Weighted } from "./random.ts"

/** One installation of a tracker: a browser or app profile, with an anonymous id and a clock of its own. */
export interface Device {
  readonly anonymousId: string
  readonly type: DeviceType
  readonly os: string
  readonly browser: string
  /** The context that every event carries. */
  readonly shortContext: JsonObject
  /** Collects events and sends them every few seconds, with `sentAt`; other trackers send each at once, without. */
  readonly buffers: boolean
  /** How far its clock is ahead of the truth, in ms. */
  readonly clockSkew: number
  ip: string
  /** The user id that the tracker knows and puts on events. */
  signedInAs: string | null
  /** End of its last session, true time. Sessions of two people on a shared device follow one another. */
  busyUntil: number
}

type DeviceType = "desktop" | "mobile" | "tablet"

const SHORT_CONTEXT: Readonly<Record<DeviceType, JsonObject>> = {
  desktop: { device: { type: "desktop" } },
  mobile: { device: { type: "mobile" } },
  tablet: { device: { type: "tablet" } },
}

interface Model {
  readonly type: DeviceType
  readonly os: string
  readonly browsers: ReadonlyArray<string>
  readonly buffers: boolean
}

const MODELS = new Weighted<Model>([
  [{ type: "desktop", os: "Windows", browsers: ["Chrome", "Edge", "Firefox"], buffers: false }, 32],
  [{ type: "desktop", os: "macOS", browsers: ["Safari", "Chrome"], buffers: false }, 18],
  [{ type: "desktop", os: "Linux", browsers: ["Firefox", "Chrome"], buffers: false }, 4],
  [{ type: "mobile", os: "iOS", browsers: ["Safari"], buffers: true }, 21],
  [{ type: "mobile", os: "Android", browsers: ["Chrome", "Samsung Internet"], buffers: false }, 19],
  [{ type: "tablet", os: "iPadOS", browsers: ["Safari"], buffers: true }, 6],
])

/** Share of the buffering devices, whose skew can be corrected, that have a wrong clock. */
const SKEWED = 0.12

/** A device out of the box. */
export const makeDevice = (random: Random): Device => {
  const model = MODELS.pick(random)
  return {
    anonymousId: random.hex(3),
    type: model.type,
    os: model.os,
    browser: random.oneOf(model.browsers),
    shortContext: SHORT_CONTEXT[model.type],
    buffers: model.buffers,
    clockSkew: model.buffers && random.chance(SKEWED) ? clockSkew(random) : 0,
    ip: documentationIp(random),
    signedInAs: null,
    busyUntil: 0,
  }
}

/** Mostly minutes; hours where somebody set the wrong zone; now and then a day or two. */
const clockSkew = (random: Random): number => {
  const size = Math.floor(random.skewed(4 * 60_000, 48 * 3_600_000)) + 1000
  const hours = random.chance(0.3) ? random.between(1, 12) * 3_600_000 : 0
  return random.chance(0.5) ? size + hours : -(size + hours)
}

const DOCUMENTATION_NETS = ["192.0.2", "198.51.100", "203.0.113"]

/** An address of the ranges that RFC 5737 sets aside for documentation: nobody's. */
export const documentationIp = (random: Random): string =>
  `${random.oneOf(DOCUMENTATION_NETS)}.${random.between(1, 254)}`
