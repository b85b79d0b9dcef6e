import { expect, test } from "vitest"

/** What users of the package can import. A change here is a change for them: say so in the changelog. */
test("the package exports exactly these names", async () => {
  expect(Object.keys(await import("../src/index.ts"))).toEqual(["openTidemark"])
  expect(Object.keys(await import("../src/effect.ts")).sort()).toEqual([
    "Analytics",
    "EventRejected",
    "LogWriter",
    "Projector",
    "Tracker",
    "TrackerFull",
    "applyMetrics",
    "dropQuarantine",
    "importEvents",
    "layerEmbedded",
    "layerServers",
    "replayQuarantine",
    "status",
    "verify",
  ])
  expect(Object.keys(await import("../src/domain/index.ts")).sort()).toEqual([
    "BUILTIN_METRICS",
    "Batch",
    "ChainVerifier",
    "CheckpointConflict",
    "CorruptBatch",
    "DEFAULT_SETTINGS",
    "EVENT_KINDS",
    "EventLog",
    "FactBuilder",
    "LogDamaged",
    "LogUnavailable",
    "MetricDefinition",
    "PositionDiverged",
    "Quarantine",
    "ReadModel",
    "ReadModelQueries",
    "ReadModelUnavailable",
    "STANDARD_EVENT_NAMES",
    "Settings",
    "UnknownBatchVersion",
    "admit",
    "attributedTo",
    "compileMeasure",
    "decodeBatch",
    "encodeBatch",
    "joinFacts",
  ])
})
