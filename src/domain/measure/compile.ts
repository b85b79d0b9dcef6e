import type { MetricDefinition } from "../metric/definition.ts"
import type { TimeZone } from "../time/TimeZone.ts"
import { activeUsers, eventCount } from "./activeUsers.ts"
import { funnel } from "./funnel.ts"
import type { Measure } from "./Measure.ts"
import { propertySum } from "./propertySum.ts"
import { sessions } from "./sessions.ts"

/** The measure that a metric definition means, in a reporting time zone. */
export const compileMeasure = (definition: MetricDefinition, zone: TimeZone): Measure => {
  const { formula } = definition
  switch (formula.kind) {
    case "active-users":
      return activeUsers(definition)
    case "event-count":
      return eventCount(definition)
    case "property-sum":
      return propertySum(definition, formula)
    case "funnel":
      return funnel(definition, formula, zone)
    case "sessions":
      return sessions(definition, formula, zone)
    case "ratio":
    case "sum":
    case "per-user":
      // Whoever registers measures asks `buildsMeasure` first.
      throw new Error(`the metric ${definition.name} is a ${formula.kind} of other metrics and has no measure`)
  }
}
