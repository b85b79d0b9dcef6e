import { Result, Schema } from "effect"
import type { Json } from "../event/json.ts"
import { UnknownControlFact } from "../log/errors.ts"
import { MetricDefinition } from "../metric/definition.ts"
import { SettingsChange } from "../settings.ts"
import { type FactHistory, readThroughHistory } from "./FactHistory.ts"

/** What somebody decided about a project, as the log holds it: a `track` event of the control partition, by its name. */
export type ControlFact =
  | { readonly name: "settings_changed"; readonly change: SettingsChange }
  | { readonly name: "metric_applied"; readonly definition: MetricDefinition }

export type ControlFactName = ControlFact["name"]

/** A key that is not known may change what the numbers mean, so it is refused like a fact that is not known. */
const STRICT = { onExcessProperty: "error" } as const

const decodeChange = Schema.decodeUnknownResult(SettingsChange, STRICT)
const decodeDefinition = Schema.decodeUnknownResult(MetricDefinition, STRICT)

/**
 * All control facts there are, and how each was written over time.
 *
 * A storage contract: what was ever written must be read for ever.
 */
export const CONTROL_FACTS: { readonly [Name in ControlFactName]: FactHistory<ControlFact> } = {
  /** Version 1: the settings that change. */
  settings_changed: {
    versionOf: () => 1,
    upcasters: [],
    read: (body) => Result.map(decodeChange(body), (change) => ({ name: "settings_changed", change })),
  },
  /** Version 1: the definition. */
  metric_applied: {
    versionOf: () => 1,
    upcasters: [],
    read: (body) => Result.map(decodeDefinition(body), (definition) => ({ name: "metric_applied", definition })),
  },
}

const isKnown = (name: string): name is ControlFactName => Object.hasOwn(CONTROL_FACTS, name)

/** Reads a control fact of any version as today's. One that can't be read is an error: see {@link UnknownControlFact}. */
export const decodeControlFact = (name: string, body: Json): Result.Result<ControlFact, UnknownControlFact> => {
  if (!isKnown(name)) return Result.fail(new UnknownControlFact({ name, problem: "its name is not known" }))
  return Result.mapError(
    readThroughHistory(CONTROL_FACTS[name], body),
    ({ message }) => new UnknownControlFact({ name, problem: message.replaceAll("\n", " ") }),
  )
}
