import type { MetricDefinition } from "../../domain/metric/definition.ts"

/** Names of the events that some of these metrics look at, old ones included; `null` for all activity. */
export const eventNames = (definitions: ReadonlyArray<MetricDefinition>): ReadonlySet<string> | null => {
  const names = new Set<string>()
  for (const { formula, filter, renamed } of definitions) {
    const events =
      formula.kind === "funnel"
        ? [...formula.steps, ...(formula.exclusions ?? [])].map(({ event }) => event)
        : filter?.events
    if (events === undefined || events.includes("*")) return null
    for (const name of events) names.add(name)
    for (const [old, name] of Object.entries(renamed?.events ?? {})) if (events.includes(name)) names.add(old)
  }
  return names
}
