import { randomUUID } from "node:crypto"
import { Clock, Effect, Stream } from "effect"
import { type ControlFact, type ControlFactName, decodeControlFact } from "../domain/control/ControlFact.ts"
import type { Event } from "../domain/event/Event.ts"
import { CONTROL_PARTITION } from "../domain/log/EventLog.ts"
import type { MetricDefinition } from "../domain/metric/definition.ts"
import type { LogEnd } from "../domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS, type Settings, type SettingsChange } from "../domain/settings.ts"
import { LogWriter } from "./LogWriter.ts"
import { readBatches } from "./readBatches.ts"

/** What the control facts of a log add up to: the latest settings, and all versions of all metrics applied. */
export interface Control {
  readonly settings: Settings
  /** By metric name, versions ascending; of several with one version the first in the log. */
  readonly definitions: ReadonlyMap<string, ReadonlyArray<MetricDefinition>>
  /** Where the facts end; `null` when there are none. */
  readonly end: LogEnd | null
}

/**
 * Reads all control facts. One that this version can't read stops it: what it means for the numbers is not known, and
 * numbers without it would be wrong.
 */
export const readControl = Effect.gen(function* () {
  let settings: Settings = DEFAULT_SETTINGS
  const definitions = new Map<string, Array<MetricDefinition>>()
  let end: LogEnd | null = null
  const take = (fact: ControlFact): void => {
    switch (fact.name) {
      case "settings_changed":
        settings = { ...settings, ...fact.change }
        return
      case "metric_applied": {
        const { definition } = fact
        const versions = definitions.get(definition.name) ?? []
        // Two that are applied at once may get the same version: it means what it meant first, in every replay.
        if (definition.version <= (versions.at(-1)?.version ?? 0)) return
        definitions.set(definition.name, [...versions, definition])
      }
    }
  }
  yield* readBatches(CONTROL_PARTITION).pipe(
    Stream.runForEach(({ position, batch }) => {
      end = { position, sum: batch.sum }
      return Effect.forEach(
        batch.events(),
        ({ name, body }) => Effect.map(Effect.fromResult(decodeControlFact(name, body)), take),
        { discard: true },
      )
    }),
  )
  return { settings, definitions, end: end as LogEnd | null } satisfies Control
})

const append = Effect.fnUntraced(function* (name: ControlFactName, bodies: ReadonlyArray<object>) {
  const writer = yield* LogWriter
  const now = yield* Clock.currentTimeMillis
  yield* writer.appendTo(
    CONTROL_PARTITION,
    bodies.map((body) => controlFact(name, body, now)),
  )
})

const controlFact = (name: ControlFactName, body: object, now: number): Event => ({
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
export const recordSettings = (change: SettingsChange) => append("settings_changed", [change])

/** Records metric definitions as applied, all or none. */
export const recordDefinitions = (definitions: ReadonlyArray<MetricDefinition>) => append("metric_applied", definitions)
