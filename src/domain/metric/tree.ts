import { nearest } from "../nearest.ts"
import type { MetricDefinition } from "./definition.ts"
import type { Metrics } from "./formula.ts"

/** What drives what: north star → key results → inputs. */

type Tier = NonNullable<MetricDefinition["tier"]>

const TIER_ABOVE: { readonly [K in Tier]: Tier | null } = {
  "north-star": null,
  "key-result": "north-star",
  input: "key-result",
}

/** Why a metric has no place in the tree of all metrics; `null` when it has one, or needs none. */
export const treeProblemOf = ({ name, tier, parent }: MetricDefinition, metrics: Metrics): string | null => {
  if (tier === undefined) {
    return parent === undefined ? null : `it names the parent ${parent} and no tier; metrics of the tree have both.`
  }
  const above = TIER_ABOVE[tier]
  if (above === null) {
    return parent === undefined ? null : `a north-star has no parent, and this one names ${parent}.`
  }
  if (parent === undefined)
    return `a metric of the tier ${tier} needs a parent of the tier ${above}; name it as "parent".`
  const circle = circleOf(name, metrics)
  if (circle !== null) return `the parents go in a circle: ${circle.join(" → ")}.`
  const found = metrics.get(parent)
  if (found === undefined) {
    const like = nearest(parent, [...metrics.keys()])
    return `its parent ${parent} is no metric${like === null ? "." : `; did you mean ${like}?`}`
  }
  return found.tier === above
    ? null
    : `its parent ${parent} ${found.tier === undefined ? "has no tier" : `is of the tier ${found.tier}`}; the parent of a metric of the tier ${tier} is of the tier ${above}.`
}

/** The metrics from one up through its parents back to it; `null` if it isn't reached again. */
const circleOf = (name: string, metrics: Metrics): ReadonlyArray<string> | null => {
  const path = [name]
  for (let at = metrics.get(name)?.parent; at !== undefined; at = metrics.get(at)?.parent) {
    if (at === name) return [...path, name]
    // Another circle further up is that of its members.
    if (path.includes(at)) return null
    path.push(at)
  }
  return null
}

/** Metrics with their depth in the tree, each before those that drive it; then those outside. Order is by name. */
export const inTreeOrder = (
  metrics: Metrics,
): ReadonlyArray<{ readonly definition: MetricDefinition; readonly depth: number }> => {
  const all = [...metrics.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  const rows: Array<{ definition: MetricDefinition; depth: number }> = []
  const placed = new Set<string>()
  const place = (definition: MetricDefinition, depth: number): void => {
    if (placed.has(definition.name)) return
    placed.add(definition.name)
    rows.push({ definition, depth })
    for (const child of all) if (child.parent === definition.name) place(child, depth + 1)
  }
  for (const definition of all) if (definition.tier === "north-star") place(definition, 0)
  // Metrics of an older log may lack the parent that files have to name.
  for (const definition of all) if (definition.tier !== undefined) place(definition, 0)
  for (const definition of all) place(definition, 0)
  return rows
}
