import type { MetricDefinition } from "./definition.ts"

/** The metrics that every project has from the start. A definition file may not take these names. */
export const BUILTIN_METRICS = {
  activeUsers: {
    name: "active_users",
    version: 1,
    description: "Persons with at least one event, and events, per day",
    formula: { kind: "active-users" },
  },
  activeUsersByEvent: {
    name: "active_users_by_event",
    version: 1,
    description: "Persons and events per day and event name",
    breakdown: "event",
    formula: { kind: "active-users" },
  },
  featureAdoption: {
    name: "feature_adoption",
    version: 1,
    description: "Persons and uses per day and feature",
    filter: { events: ["feature_used"] },
    breakdown: "properties.feature_name",
    formula: { kind: "active-users" },
  },
  sessions: {
    name: "sessions",
    version: 1,
    description: "Sessions per day of their start, cut at pauses of more than 30 minutes",
    formula: { kind: "sessions" },
  },
} as const satisfies Record<string, MetricDefinition>
