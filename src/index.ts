/**
 * Tidemark for programs that don't use Effect: `openTidemark` gives an instance whose methods return promises, on the
 * embedded store or on the servers that the configuration names.
 */
export { openTidemark, type OpenOptions, type Tidemark, type TidemarkClosed } from "./app/Tidemark.ts"
export type {
  Alias,
  EventRejected,
  Group,
  Identify,
  Occasion,
  Page,
  Track,
  TrackerFull,
  TrackerOptions,
} from "./app/Tracker.ts"
export type { Click, ErrorSeen, FeatureUsed, PageView, Purchase } from "./app/typedEvents.ts"
export type { ExplainInput, Explanation } from "./app/explain/explain.ts"
export type { AppliedMetrics, ApplyOptions } from "./app/change/apply.ts"
export type { Comparison } from "./app/change/compare.ts"
export type { Rebuilt, RebuildOptions } from "./app/change/rebuild.ts"
export type { PersonBehind } from "./app/change/personsBehind.ts"
export type { Applied } from "./app/metrics/recordMetrics.ts"
export type { BadDefinition, DefinitionProblem } from "./app/metrics/BadDefinition.ts"
export type { ActiveUsersAnswer, ActiveUsersInput } from "./app/query/activeUsers.ts"
export type { AdoptionAnswer, AdoptionInput, FeatureAdoption } from "./app/query/adoption.ts"
export type { BadQuery } from "./app/query/errors.ts"
export type { EventsAnswer, EventsInput } from "./app/query/events.ts"
export type { Frame } from "./app/query/frame.ts"
export type { FunnelAnswer, FunnelInput } from "./app/query/funnel.ts"
export type { MetricAnswer } from "./app/query/metricAnswer.ts"
export type { RangeInput } from "./app/query/range.ts"
export type { SessionFigures, SessionsAnswer, SessionsInput } from "./app/query/sessions.ts"
export type { UserAnswer } from "./app/query/user.ts"
export { defineMetric, type FunnelFormula, type MetricDefinition } from "./domain/metric/definition.ts"
