import { randomUUID } from "node:crypto"
import { Clock, Effect, Result, Schema, Stream } from "effect"
import type { Event } from "../domain/event/Event.ts"
import { UnknownControlFact } from "../domain/log/errors.ts"
import { CONTROL_PARTITION } from "../domain/log/EventLog.ts"
import type { AppliedMetrics } from "../domain/metric/applied.ts"
import { MetricDefinition } from "../domain/metric/definition.ts"
import type { LogEnd } from "../domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS, type Settings, SettingsChange } from "../domain/settings.ts"
import { LogWriter } from "./LogWriter.ts"
import { readBatches } from "./readBatches.ts"

/** A change of one metric that the log records. */
export interface MetricFact {
  readonly what: "applied" | "retired"
  readonly version: number
  /** ms since 1970 */
  readonly at: number
}

/** What the control facts of a log add up to: the latest settings, and all versions of all metrics applied. */
export interface Control extends AppliedMetrics {
  readonly settings: Settings
  /** By metric name, versions ascending; of several with one version the first in the log. */
  readonly definitions: ReadonlyMap<string, ReadonlyArray<MetricDefinition>>
  /** By metric name: what happened to it, in the order of the log. */
  readonly history: ReadonlyMap<string, ReadonlyArray<MetricFact>>
  /** Where the facts end; `null` when there are none. */
  readonly end: LogEnd | null
}

const SETTINGS_CHANGED = "settings_changed"
const METRIC_APPLIED = "metric_applied"
const METRIC_RETIRED = "metric_retired"

/** Of which metric all versions up to one are to be projected and answered no more. */
const Retirement = Schema.Struct({ name: Schema.String, version: Schema.Int })
type Retirement = typeof Retirement.Type

const decodeChange = Schema.decodeUnknownResult(SettingsChange)
const decodeDefinition = Schema.decodeUnknownResult(MetricDefinition)
const decodeRetirement = Schema.decodeUnknownResult(Retirement)

/**
 * Reads all control facts. One that this version can't read stops it: what it means for the numbers is not known, and
 * numbers without it would be wrong.
 */
export const readControl = Effect.gen(function* () {
  let settings: Settings = DEFAULT_SETTINGS
  const definitions = new Map<string, Array<MetricDefinition>>()
  const retired = new Map<string, number>()
  const history = new Map<string, Array<MetricFact>>()
  let end: LogEnd | null = null
  const note = (name: string, fact: MetricFact) => history.set(name, [...(history.get(name) ?? []), fact])
  const take = (name: string, body: unknown, at: number): Result.Result<void, UnknownControlFact> => {
    if (name === SETTINGS_CHANGED) {
      return Result.map(explaining(name, decodeChange(body)), (change) => {
        settings = { ...settings, ...change }
      })
    }
    if (name === METRIC_APPLIED) {
      return Result.map(explaining(name, decodeDefinition(body)), (decoded) => {
        const versions = definitions.get(decoded.name) ?? []
        // Two that are applied at once may get the same version: it means what it meant first, in every replay.
        if (decoded.version <= (versions.at(-1)?.version ?? 0)) return
        definitions.set(decoded.name, [...versions, decoded])
        note(decoded.name, { what: "applied", version: decoded.version, at })
      })
    }
    if (name === METRIC_RETIRED) {
      return Result.map(explaining(name, decodeRetirement(body)), (retirement) => {
        // A version that was applied meanwhile is not meant.
        if (retirement.version <= (retired.get(retirement.name) ?? 0)) return
        retired.set(retirement.name, retirement.version)
        note(retirement.name, { what: "retired", version: retirement.version, at })
      })
    }
    return Result.fail(new UnknownControlFact({ name, problem: "its name is not known" }))
  }
  yield* readBatches(CONTROL_PARTITION).pipe(
    Stream.runForEach(({ position, batch }) => {
      end = { position, sum: batch.sum }
      return Effect.forEach(batch.events(), ({ name, body, time }) => Effect.fromResult(take(name, body, time)), {
        discard: true,
      })
    }),
  )
  return { settings, definitions, retired, history, end: end as LogEnd | null } satisfies Control
})

const explaining = <A>(
  name: string,
  decoded: Result.Result<A, { readonly message: string }>,
): Result.Result<A, UnknownControlFact> =>
  Result.mapError(decoded, ({ message }) => new UnknownControlFact({ name, problem: message.replaceAll("\n", " ") }))

const append = Effect.fnUntraced(function* (name: string, bodies: ReadonlyArray<object>) {
  const writer = yield* LogWriter
  const now = yield* Clock.currentTimeMillis
  yield* writer.appendTo(
    CONTROL_PARTITION,
    bodies.map((body) => controlFact(name, body, now)),
  )
})

const controlFact = (name: string, body: object, now: number): Event => ({
  id: randomUUID(),
  kind: "track",
  name,
  userId: null,
  anonymousId: null,
  sessionId: null,
  time: now,
  timestamp: now,
  sentAt: null,
  receivedAt: now,
  warnings: [],
  body: body as Event["body"],
})

/**
 * Records the settings that change, and only these, so that two who change different ones at once both get their way. They
 * hold for all of history, so the next projection makes the read model anew.
 */
export const recordSettings = (change: SettingsChange) => append(SETTINGS_CHANGED, [change])

/** Records metric definitions as applied, all or none. */
export const recordDefinitions = (definitions: ReadonlyArray<MetricDefinition>) => append(METRIC_APPLIED, definitions)

/** Records that a metric ends with a version, so that a greater one brings it back. */
export const recordRetirement = (retirement: Retirement) => append(METRIC_RETIRED, [retirement])
