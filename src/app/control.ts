import { Clock, Effect, Result, Schema, Stream } from "effect"
import type { Event } from "../domain/event/Event.ts"
import type { Json } from "../domain/event/json.ts"
import { CONTROL_PARTITION } from "../domain/log/EventLog.ts"
import { MetricDefinition } from "../domain/metric/definition.ts"
import { DEFAULT_SETTINGS, Settings } from "../domain/settings.ts"
import { LogWriter } from "./LogWriter.ts"
import { readBatches } from "./readBatches.ts"

/** What the control facts of a log add up to: the latest settings, and all versions of all metrics applied. */
export interface Control {
  readonly settings: Settings
  /** By metric name, versions ascending. */
  readonly definitions: ReadonlyMap<string, ReadonlyArray<MetricDefinition>>
}

const SETTINGS_CHANGED = "settings_changed"
const METRIC_APPLIED = "metric_applied"

const decodeSettings = Schema.decodeUnknownResult(Settings)
const decodeDefinition = Schema.decodeUnknownResult(MetricDefinition)

/**
 * Reads all control facts. A fact that this version can't read is passed over: a newer version may have written it, and
 * what it means is recorded with it.
 */
export const readControl = Effect.gen(function* () {
  let settings: Settings = DEFAULT_SETTINGS
  const definitions = new Map<string, Array<MetricDefinition>>()
  const take = (name: string, body: unknown): void => {
    if (name === SETTINGS_CHANGED) settings = Result.getOrElse(decodeSettings(body), () => settings)
    if (name !== METRIC_APPLIED) return
    const decoded = decodeDefinition(body)
    if (Result.isFailure(decoded)) return
    const versions = definitions.get(decoded.success.name) ?? []
    definitions.set(decoded.success.name, [...versions, decoded.success])
  }
  yield* readBatches(CONTROL_PARTITION).pipe(
    Stream.runForEach(({ batch }) =>
      Effect.sync(() => {
        for (const { name, body } of batch.events()) take(name, body)
      }),
    ),
  )
  return { settings, definitions } satisfies Control
})

const append = Effect.fnUntraced(function* (name: string, body: Json) {
  const writer = yield* LogWriter
  const now = yield* Clock.currentTimeMillis
  yield* writer.appendTo(CONTROL_PARTITION, [controlFact(name, body, now)])
})

const controlFact = (name: string, body: Json, now: number): Event => ({
  id: `${name}-${now}`,
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

/** Records new settings. They hold for all of history, so the next projection makes the read model anew. */
export const recordSettings = (settings: Settings) => append(SETTINGS_CHANGED, settings)

/** Records a metric definition as applied. */
export const recordDefinition = (definition: MetricDefinition) => append(METRIC_APPLIED, definition)
