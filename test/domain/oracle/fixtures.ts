import type { Event } from "../../../src/domain/event/Event.ts"
import type { JsonObject } from "../../../src/domain/event/json.ts"
import type { EventFilter, MetricDefinition } from "../../../src/domain/metric/definition.ts"
import { oracle, type OracleInput } from "../../../src/domain/oracle/oracle.ts"
import { DEFAULT_SETTINGS, type Settings } from "../../../src/domain/settings.ts"

/**
 * Examples worked by hand from docs/reference/semantics.md: they judge the oracle, which judges the engine. Told here: how
 * a history is written down, and what the oracle says of it.
 */

export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

export interface Told {
  readonly at: string | number
  readonly id?: string
  readonly user?: string
  readonly device?: string
  readonly session?: string
  readonly name?: string
  readonly kind?: Event["kind"]
  readonly properties?: JsonObject
  readonly body?: JsonObject
}

let told = 0

/** An event; a time without zone is UTC, a time of day is on 2024-01-10. */
export const event = ({ at, id, user, device, session, name, kind, properties, body }: Told): Event => ({
  id: id ?? `event-${told++}`,
  kind: kind ?? "track",
  name: name ?? kind ?? "click",
  userId: user ?? null,
  anonymousId: device ?? null,
  sessionId: session ?? null,
  time: instant(at),
  timestamp: instant(at),
  sentAt: null,
  receivedAt: null,
  warnings: [],
  body: { ...body, ...(properties === undefined ? {} : { properties }) },
})

const instant = (at: string | number): number =>
  typeof at === "number" ? at : Date.parse(at.includes("-") ? (at.endsWith("Z") ? at : `${at}Z`) : `2024-01-10T${at}Z`)

export const logged = (events: ReadonlyArray<Event>): Array<OracleInput> =>
  events.map((logged) => ({ event: logged, partition: 0, loggedAt: 0 }))

export interface Asked extends Partial<Settings> {
  readonly filter?: EventFilter
  readonly breakdown?: string
}

/** The cells of one metric over a history. */
export const cellsOf = (
  history: ReadonlyArray<Told>,
  formula: MetricDefinition["formula"],
  { filter, breakdown, ...settings }: Asked = {},
): Record<string, number | string> => {
  const metric: MetricDefinition = {
    name: "metric",
    version: 1,
    formula,
    ...(filter === undefined ? {} : { filter }),
    ...(breakdown === undefined ? {} : { breakdown }),
  }
  const result = oracle(logged(history.map(event)), { ...DEFAULT_SETTINGS, ...settings }, [metric])
  return Object.fromEntries(result.cells.get("metric")!)
}

export const ACTIVE = { kind: "active-users" } as const

/** Whether a cell says when persons were active before. */
export const isReturn = (key: string): boolean => /\|(new|again:\d+)$/.test(key)

/** The cells of active users, without when they were active before. */
export const activeUsers = (history: ReadonlyArray<Told>, asked?: Asked): Record<string, number | string> =>
  Object.fromEntries(Object.entries(cellsOf(history, ACTIVE, asked)).filter(([key]) => !isReturn(key)))

export const personsOf = (history: ReadonlyArray<Told>, settings: Partial<Settings> = {}): Record<string, string> =>
  Object.fromEntries(oracle(logged(history.map(event)), { ...DEFAULT_SETTINGS, ...settings }, []).personOf)
