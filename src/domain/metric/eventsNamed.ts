import type { MetricDefinition } from "./definition.ts"

/** The events that a definition names, and where. */
export const eventsNamed = ({
  filter,
  formula,
}: MetricDefinition): ReadonlyArray<{ readonly path: string; readonly event: string }> => [
  ...(filter?.events ?? []).map((event, n) => ({ path: `filter.events[${n}]`, event })),
  ...(formula.kind !== "funnel"
    ? []
    : [
        ...formula.steps.map(({ event }, n) => ({ path: `formula.steps[${n}].event`, event })),
        ...(formula.exclusions ?? []).map(({ event }, n) => ({ path: `formula.exclusions[${n}].event`, event })),
      ]),
]

/** Names of the events that some of these metrics look at, old ones included; `null` for all activity. */
export const namesLookedAt = (definitions: ReadonlyArray<MetricDefinition>): ReadonlySet<string> | null => {
  const names = new Set<string>()
  for (const definition of definitions) {
    const named = new Set(eventsNamed(definition).map(({ event }) => event))
    if (named.size === 0 || named.has("*")) return null
    for (const name of named) names.add(name)
    for (const [old, name] of Object.entries(definition.renamed?.events ?? {})) if (named.has(name)) names.add(old)
  }
  return names
}
