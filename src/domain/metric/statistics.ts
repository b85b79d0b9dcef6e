import type { Formula, MetricDefinition } from "./definition.ts"

/** A number that a metric has per day: the cells of that name, as answers show them. */
export interface Statistic {
  readonly name: string
  /** What tells the numbers of one day apart. */
  readonly item: "breakdown" | "step" | "page" | "duration" | "none"
  /** The number of a range: its days added up, its distinct persons, the formula of totals, or none that cells could give. */
  readonly total: "sum" | "distinct" | "formula" | null
  /** Whether a currency field gives each currency a statistic of its own: `sum:EUR`. */
  readonly perCurrency?: true
}

/** The statistics of every kind of formula. That of a formula of other metrics has its kind's name. */
export const STATISTICS: { readonly [K in Formula["kind"]]: ReadonlyArray<Statistic> } = {
  "active-users": [
    { name: "users", item: "breakdown", total: "distinct" },
    { name: "events", item: "breakdown", total: "sum" },
  ],
  "event-count": [{ name: "events", item: "breakdown", total: "sum" }],
  "property-sum": [
    { name: "sum", item: "breakdown", total: "sum", perCurrency: true },
    { name: "count", item: "breakdown", total: "sum", perCurrency: true },
    { name: "not-a-number", item: "breakdown", total: "sum" },
  ],
  funnel: [
    { name: "users", item: "step", total: null },
    { name: "from_previous_ms", item: "step", total: "sum" },
  ],
  sessions: [
    { name: "sessions", item: "none", total: "sum" },
    { name: "persons", item: "none", total: null },
    { name: "events", item: "none", total: "sum" },
    { name: "bounces", item: "none", total: "sum" },
    { name: "duration_ms", item: "none", total: "sum" },
    { name: "duration", item: "duration", total: "sum" },
    { name: "entries", item: "page", total: "sum" },
    { name: "exits", item: "page", total: "sum" },
  ],
  ratio: [{ name: "ratio", item: "breakdown", total: "formula" }],
  sum: [{ name: "sum", item: "breakdown", total: "formula" }],
  "per-user": [{ name: "per-user", item: "breakdown", total: "formula" }],
}

const hasCurrencies = ({ formula }: MetricDefinition): boolean =>
  formula.kind === "property-sum" && formula.currency !== undefined

/** The statistic that a name means in a metric; `undefined` when it has none of that name. */
export const statisticOf = (definition: MetricDefinition, name: string): Statistic | undefined =>
  STATISTICS[definition.formula.kind].find((statistic) =>
    statistic.perCurrency && hasCurrencies(definition)
      ? name.startsWith(`${statistic.name}:`)
      : name === statistic.name,
  )

/** Whether formulas of other metrics can use a statistic: it has a number per day and value, and one of the range. */
export const isOperand = ({ item, total }: Statistic): boolean =>
  total !== null && (item === "breakdown" || item === "none")

/** Names of the statistics that formulas can use of a metric, as its author would write them. */
export const operandNames = (definition: MetricDefinition): ReadonlyArray<string> =>
  STATISTICS[definition.formula.kind]
    .filter(isOperand)
    .map(({ name, perCurrency }) => (perCurrency && hasCurrencies(definition) ? `${name}:EUR` : name))
