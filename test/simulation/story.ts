import fc from "fast-check"
import type { ControlFact } from "../../src/domain/control/ControlFact.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import type { Settings } from "../../src/domain/settings.ts"
import { Random } from "../../src/domain/simulate/random.ts"
import { arbHistory } from "../support/arbitraries/histories.ts"
import { arbMetrics } from "../support/arbitraries/metrics.ts"
import { CALL_FAULTS } from "./faults.ts"

/** What happens by itself besides failing calls: each kind is on or off for a whole seed. */
export const HAPPENINGS = [
  "a projector is killed",
  "a writer is killed",
  "a process is frozen",
  "a client gives up",
  "a clock jumps",
  "metrics change",
  "metrics are promoted, dropped and retired",
  "settings change",
  "a rebuild",
  "a rebuild beside what is live",
  "a session is ended",
  "retention",
  "damage",
  "an older copy is put back",
] as const

export type Happens = (typeof HAPPENINGS)[number]

/** Something that is to be written to the log. */
export type Job =
  | { readonly what: "events"; readonly events: ReadonlyArray<Event> }
  | { readonly what: "settings"; readonly settings: Settings }
  | {
      readonly what: "metrics"
      readonly definitions: ReadonlyArray<MetricDefinition>
      readonly promote: "when-built" | "when-asked"
    }
  | { readonly what: "decisions"; readonly facts: ReadonlyArray<ControlFact> }

/** What a seed is about: the part of it that does not depend on who goes when. */
export interface Story {
  readonly partitions: number
  readonly writers: "many" | "one"
  readonly projectors: number
  readonly writerProcesses: number
  readonly enabled: ReadonlySet<string>
  readonly faultRate: number
  readonly faultBudget: number
  readonly first: Settings
  /** What is written between one quiet moment and the next. */
  readonly phases: ReadonlyArray<ReadonlyArray<Job>>
  /** Written after the last quiet moment, where a seed ends with damage. */
  readonly tail: ReadonlyArray<Event>
}

export interface StoryOptions {
  /** Kinds to leave out, to make a failing seed shorter. */
  readonly without?: ReadonlyArray<string>
  /** Keeps the first events only. */
  readonly eventsMax?: number
  /** Kinds that must be on, for a flaw that shows only there. */
  readonly with?: ReadonlyArray<string>
}

/** Histories drawn for a seed, of which the longest is taken: small ones meet nothing. */
const DRAWN = 3

const EVENTS_MAX = 150

// Made once: making them takes longer than drawing from them.
const HISTORIES = [false, true].map((conflicts) => arbHistory({ maxLength: EVENTS_MAX, conflicts }))

const sample = <T>(arbitrary: fc.Arbitrary<T>, seed: number, count: number): ReadonlyArray<T> =>
  fc.sample(arbitrary, { seed, numRuns: count })

const decisionOn = (metric: string, version: number, random: Random): ControlFact => {
  const decision = { metric, by: "operator", why: null }
  const name = random.oneOf([
    "metric_promoted",
    "metric_promoted",
    "metric_rolled_back",
    "metric_dropped",
    "metric_retired",
  ] as const)
  return name === "metric_retired"
    ? { name, body: { ...decision, version } }
    : { name, body: { ...decision, version, build: null } }
}

/** Draws what a seed is about. */
export const tell = (seed: number, options: StoryOptions = {}): Story => {
  // A stream of its own: what is left out of a story does not change who goes when.
  const random = new Random(seed * 2 + 1)
  const without = new Set(options.without)
  const enabled = new Set<string>()
  for (const kind of [...CALL_FAULTS, ...HAPPENINGS]) if (random.chance(0.5) && !without.has(kind)) enabled.add(kind)
  for (const kind of options.with ?? []) enabled.add(kind)

  const drawn = sample(random.oneOf(HISTORIES), seed, DRAWN)
  const history = drawn.reduce((longest, other) => (other.events.length > longest.events.length ? other : longest))
  const events = history.events.slice(0, options.eventsMax ?? history.events.length)
  const others = drawn.filter((other) => other !== history)
  const tail = others
    .flatMap(({ events }) => events)
    .slice(0, 20)
    .map((event) => ({ ...event, id: `tail-${event.id}` }))

  const many = random.chance(0.75)
  const phaseCount = random.between(1, 3)
  const definitions = sample(arbMetrics, seed, 3)
  let versions = 0
  const decides = enabled.has("metrics are promoted, dropped and retired")
  const phases = Array.from({ length: phaseCount }, (_, n): ReadonlyArray<Job> => {
    const from = Math.floor((events.length * n) / phaseCount)
    const to = Math.floor((events.length * (n + 1)) / phaseCount)
    const jobs: Array<Job> = []
    for (let at = from; at < to;) {
      const size = Math.min(random.between(1, 12), to - at)
      jobs.push({ what: "events", events: events.slice(at, at + size) })
      at += size
    }
    const insert = (job: Job) => void jobs.splice(random.between(0, jobs.length), 0, job)
    if (enabled.has("metrics change")) {
      // The same names with other definitions: each a new version.
      const version = ++versions
      const chosen = definitions[n]!.slice(0, random.between(1, 3)).map((metric) => ({ ...metric, version }))
      const promote = decides && random.chance(0.7) ? "when-asked" : "when-built"
      insert({ what: "metrics", definitions: chosen, promote })
      for (const { name } of decides ? chosen : []) {
        const version = random.between(1, versions)
        insert({ what: "decisions", facts: [decisionOn(name, version, random)] })
      }
    }
    if (enabled.has("settings change") && random.chance(0.6)) {
      insert({ what: "settings", settings: random.oneOf(drawn).settings })
    }
    return jobs
  })

  return {
    partitions: random.between(1, 4),
    writers: many ? "many" : "one",
    projectors: random.between(1, 4),
    writerProcesses: many ? random.between(1, 3) : 1,
    enabled,
    faultRate: random.oneOf([0.01, 0.03, 0.1]),
    faultBudget: random.between(0, 40),
    first: history.settings,
    phases,
    tail,
  }
}
