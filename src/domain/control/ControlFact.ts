import { Result, Schema } from "effect"
import { isJsonObject, type Json } from "../event/json.ts"
import { UnknownControlFact } from "../log/errors.ts"
import { MetricDefinition } from "../metric/definition.ts"
import { SettingsChange } from "../settings.ts"
import { type FactHistory, readThroughHistory } from "./FactHistory.ts"

/** Who decided, as `user@host`, and why: `null` where nobody said. */
const Decision = {
  by: Schema.NullOr(Schema.String),
  why: Schema.NullOr(Schema.String),
}

/** A version of a metric came to be: it takes the place of the one before as soon as it is built, or when somebody promotes it. */
const MetricApplied = Schema.Struct({
  definition: MetricDefinition,
  promote: Schema.Literals(["when-built", "when-asked"]),
  ...Decision,
})

/** `build`: where a rebuild of one version takes the place of another, which means nothing once the read model is made anew. */
const OfVersion = Schema.Struct({
  metric: Schema.String,
  version: Schema.Int,
  build: Schema.NullOr(Schema.Int),
  ...Decision,
})

/** All versions of a metric up to this one have ended. */
const MetricRetired = Schema.Struct({ metric: Schema.String, version: Schema.Int, ...Decision })

const RebuildRequested = Schema.Struct({ metrics: Schema.Array(Schema.String), ...Decision })

/** Names of facts about one version of a metric. */
const OF_VERSION = ["metric_promoted", "metric_rolled_back", "metric_dropped"] as const

/** What somebody decided about a project, as the log holds it: a `track` event of the control partition, by its name. */
export type ControlFact =
  | { readonly name: "settings_changed"; readonly body: SettingsChange }
  | { readonly name: "metric_applied"; readonly body: typeof MetricApplied.Type }
  | { readonly name: (typeof OF_VERSION)[number]; readonly body: typeof OfVersion.Type }
  | { readonly name: "metric_retired"; readonly body: typeof MetricRetired.Type }
  | { readonly name: "rebuild_requested"; readonly body: typeof RebuildRequested.Type }

export type ControlFactName = ControlFact["name"]

/** A key that is not known may change what the numbers mean, so it is refused like a fact that is not known. */
const reader = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) =>
  Schema.decodeUnknownResult(schema, { onExcessProperty: "error" })

const readSettingsChange = reader(SettingsChange)
const readMetricApplied = reader(MetricApplied)
const readOfVersion = reader(OfVersion)
const readMetricRetired = reader(MetricRetired)
const readRebuildRequested = reader(RebuildRequested)

/** A fact that was written in one way only. */
const once = (read: FactHistory<ControlFact>["read"]): FactHistory<ControlFact> => ({
  versionOf: () => 1,
  upcasters: [],
  read,
})

const ofVersion = (name: (typeof OF_VERSION)[number]) =>
  once((body) => Result.map(readOfVersion(body), (body): ControlFact => ({ name, body })))

/**
 * All control facts there are, and how each was written over time.
 *
 * A storage contract: what was ever written must be read for ever.
 */
export const CONTROL_FACTS: { readonly [Name in ControlFactName]: FactHistory<ControlFact> } = {
  /** Version 1: the settings that change. */
  settings_changed: once((body) =>
    Result.map(readSettingsChange(body), (body): ControlFact => ({ name: "settings_changed", body })),
  ),
  metric_applied: {
    /** Version 1: the definition, which took the place of the one before as soon as it was built. Version 2 names who, and when it does. */
    versionOf: (body) => (isJsonObject(body) && "definition" in body ? 2 : 1),
    upcasters: [(definition) => ({ definition, promote: "when-built", by: null, why: null })],
    read: (body) => Result.map(readMetricApplied(body), (body): ControlFact => ({ name: "metric_applied", body })),
  },
  metric_promoted: ofVersion("metric_promoted"),
  metric_rolled_back: ofVersion("metric_rolled_back"),
  metric_dropped: ofVersion("metric_dropped"),
  metric_retired: once((body) =>
    Result.map(readMetricRetired(body), (body): ControlFact => ({ name: "metric_retired", body })),
  ),
  rebuild_requested: once((body) =>
    Result.map(readRebuildRequested(body), (body): ControlFact => ({ name: "rebuild_requested", body })),
  ),
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
