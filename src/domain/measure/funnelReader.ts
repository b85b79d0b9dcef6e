import type { FunnelFormula } from "../metric/definition.ts"
import type { FunnelEntries } from "./funnelEntries.ts"
import { FunnelHistory } from "./FunnelHistory.ts"
import { funnelRules } from "./funnelRules.ts"
import { PlainFunnel } from "./PlainFunnel.ts"
import type { TimedLabels } from "./points.ts"

/** Reads what persons did through the rules of a funnel: what it gives of one holds until it is asked for the next. */
export const funnelReader = (formula: FunnelFormula): ((points: TimedLabels) => FunnelEntries) => {
  const rules = funnelRules(formula)
  if (rules.graceMillis > 0 || rules.exclusions.length > 0) return (points) => new FunnelHistory(points, rules)
  const plain = new PlainFunnel(rules)
  return (points) => (plain.read(points) ? plain : new FunnelHistory(points, rules))
}
