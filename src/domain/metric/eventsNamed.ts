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
