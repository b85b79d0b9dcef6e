import { randomUUID } from "node:crypto"
import { hostname, userInfo } from "node:os"
import { Clock, Effect, Stream } from "effect"
import { type ControlFact, decodeControlFact } from "../domain/control/ControlFact.ts"
import type { Event } from "../domain/event/Event.ts"
import { CONTROL_PARTITION } from "../domain/log/EventLog.ts"
import type { MetricDefinition } from "../domain/metric/definition.ts"
import { afterFact, type MetricHistories } from "../domain/metric/lifecycle.ts"
import type { LogEnd } from "../domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS, type Settings, type SettingsChange } from "../domain/settings.ts"
import { LogWriter } from "./LogWriter.ts"
import { readBatches } from "./readBatches.ts"

/** What the control facts of a log add up to: the latest settings, and what became of every metric. */
export interface Control {
  readonly settings: Settings
  readonly metrics: MetricHistories
  /** Where the facts end; `null` when there are none. */
  readonly end: LogEnd | null
}

/**
 * Reads all control facts. One that this version can't read stops it: what it means for the numbers is not known, and
 * numbers without it would be wrong.
 */
export const readControl = Effect.gen(function* () {
  let settings: Settings = DEFAULT_SETTINGS
  let metrics: MetricHistories = new Map()
  let end: LogEnd | null = null
  const take = (fact: ControlFact, at: number): void => {
    if (fact.name === "settings_changed") settings = { ...settings, ...fact.body }
    metrics = afterFact(metrics, fact, at)
  }
  yield* readBatches(CONTROL_PARTITION).pipe(
    Stream.runForEach(({ position, batch }) => {
      end = { position, sum: batch.sum }
      return Effect.forEach(
        batch.events(),
        ({ name, body, time }) =>
          Effect.map(Effect.fromResult(decodeControlFact(name, body)), (fact) => take(fact, time)),
        { discard: true },
      )
    }),
  )
  return { settings, metrics, end: end as LogEnd | null } satisfies Control
})

/** Records control facts, all or none. */
export const record = Effect.fnUntraced(function* (facts: ReadonlyArray<ControlFact>) {
  const writer = yield* LogWriter
  const now = yield* Clock.currentTimeMillis
  yield* writer.appendTo(
    CONTROL_PARTITION,
    facts.map((fact) => eventOf(fact, now)),
  )
})

const eventOf = ({ name, body }: ControlFact, now: number): Event => ({
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
  body,
})

/** Who decides, as control facts name them, and why. */
export const decision = (why: string | null = null) => ({ by: `${userInfo().username}@${hostname()}`, why })

/**
 * Records the settings that change, and only these, so that two who change different ones at once both get their way. They
 * hold for all of history, so the next projection makes the read model anew.
 */
export const recordSettings = (change: SettingsChange) => record([{ name: "settings_changed", body: change }])

/** Records metric definitions as applied, all or none; each takes the place of the version before as soon as it is built. */
export const recordDefinitions = (definitions: ReadonlyArray<MetricDefinition>) =>
  record(
    definitions.map((definition) => ({
      name: "metric_applied",
      body: { definition, promote: "when-built", ...decision() },
    })),
  )
