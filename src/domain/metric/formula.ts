import { Result } from "effect"
import { nearest } from "../nearest.ts"
import { BUILTIN_METRICS } from "./builtin.ts"
import { type CombiningFormula, isFormulaMetric, type MetricDefinition, type Operand } from "./definition.ts"
import { addFractions, divideFractions, type Fraction, FRACTION_ZERO } from "./fraction.ts"
import { isOperand, operandNames, statisticOf } from "./statistics.ts"

/**
 * A formula of other metrics down to the numbers that it is made of. All of them stand for days, and are told apart by the
 * values of the same breakdown, or by none.
 */
export type Expression =
  | { readonly kind: "ratio"; readonly numerator: Expression; readonly denominator: Expression }
  | { readonly kind: "sum"; readonly of: ReadonlyArray<Expression> }
  | NumberOf

/** A number of a metric that has cells. */
export interface NumberOf {
  readonly kind: "number"
  readonly metric: string
  readonly stat: string
  /** Only of this value of the breakdown; `null` for a number per value. */
  readonly value: string | null
  /** Whether the number of a range are its distinct persons, not the sum of its days. */
  readonly distinct: boolean
}

/** A formula that can be worked out. */
export interface Resolved {
  readonly expression: Expression
  /** The field by whose values its numbers are told apart; `null` for one number a day. */
  readonly grain: string | null
  /** Every metric used, formulas among them, each once. */
  readonly uses: ReadonlyArray<MetricDefinition>
}

/** Why a formula can't be worked out, and where in the definition that is. */
export interface FormulaProblem {
  readonly path: string
  readonly problem: string
}

/** Most numbers that one formula comes down to, through all formulas that it uses: circles aside, they could multiply. */
export const FORMULA_NUMBERS_MAX = 1_000

/** The metrics that there are. */
export type Metrics = ReadonlyMap<string, MetricDefinition>

/** The operands of a formula and where they stand; those of `per-user` with the persons that it divides by. */
export const operandsOf = (
  formula: CombiningFormula,
): ReadonlyArray<{ readonly path: string; readonly operand: Operand }> => {
  switch (formula.kind) {
    case "ratio":
      return [
        { path: "formula.numerator", operand: formula.numerator },
        { path: "formula.denominator", operand: formula.denominator },
      ]
    case "sum":
      return formula.of.map((operand, n) => ({ path: `formula.of[${n}]`, operand }))
    case "per-user":
      return [
        { path: "formula.of", operand: formula.of },
        {
          path: "formula.users",
          operand: { metric: formula.users ?? BUILTIN_METRICS.activeUsers.name, stat: "users" },
        },
      ]
  }
}

/** Names of the metrics that a definition's formula uses directly. */
export const metricsUsed = (definition: MetricDefinition): ReadonlyArray<string> =>
  isFormulaMetric(definition) ? operandsOf(definition.formula).map(({ operand }) => operand.metric) : []

/** Follows a formula to the cells behind it, and checks that its numbers can be put together. */
export const resolveFormula = (
  definition: MetricDefinition & { readonly formula: CombiningFormula },
  metrics: Metrics,
): Result.Result<Resolved, FormulaProblem> => {
  const uses = new Map<string, MetricDefinition>()
  let numbers = 0

  const resolveOf = (
    { name, formula }: MetricDefinition & { readonly formula: CombiningFormula },
    inherited: string | null,
    above: ReadonlyArray<string>,
  ): Result.Result<Grained, FormulaProblem> => {
    const operands: Array<Grained & { readonly text: string; readonly path: string }> = []
    for (const { path, operand } of operandsOf(formula)) {
      const resolved = operandOf(path, operand, inherited, [...above, name])
      if (Result.isFailure(resolved)) return Result.fail(resolved.failure)
      operands.push({ ...resolved.success, text: `${operand.stat} of ${operand.metric}`, path })
    }
    const [first] = operands
    const other = operands.find(({ grain }) => grain !== first!.grain)
    if (other !== undefined) {
      const join = formula.kind === "sum" ? "add them up" : "divide one by the other"
      const problem = `${first!.text} is ${grainText(first!.grain)} and ${other.text} is ${grainText(other.grain)}; to ${join}, both need the same breakdown, or a "value" of it.`
      return Result.fail({ path: other.path, problem })
    }
    const expressions = operands.map(({ expression }) => expression)
    const expression: Expression =
      formula.kind === "sum"
        ? { kind: "sum", of: expressions }
        : { kind: "ratio", numerator: expressions[0]!, denominator: expressions[1]! }
    return Result.succeed({ expression, grain: first!.grain })
  }

  const operandOf = (
    path: string,
    { metric, stat, value }: Operand,
    inherited: string | null,
    above: ReadonlyArray<string>,
  ): Result.Result<Grained, FormulaProblem> => {
    const fail = (problem: string) => Result.fail({ path, problem })
    if (above.includes(metric)) {
      return fail(`the formulas go in a circle: ${[...above.slice(above.indexOf(metric)), metric].join(" → ")}.`)
    }
    const used = metrics.get(metric)
    if (used === undefined) {
      const like = nearest(metric, [...metrics.keys()])
      return fail(`there is no metric ${metric}${like === null ? "." : `; did you mean ${like}?`}`)
    }
    const statistic = statisticOf(used, stat)
    if (statistic === undefined || !isOperand(statistic)) return fail(unusable(used, stat))
    uses.set(metric, used)
    const one = value ?? inherited
    if (isFormulaMetric(used)) {
      const resolved = resolveOf(used, one, above)
      // What is wrong further down is wrong here, where this formula names it.
      if (Result.isFailure(resolved)) return fail(`${metric}: ${resolved.failure.problem}`)
      return value !== undefined && !hasBreakdown(resolved.success.expression)
        ? fail(`${metric} has no breakdown of which "${value}" could be a value.`)
        : Result.succeed(resolved.success)
    }
    if (++numbers > FORMULA_NUMBERS_MAX) return fail(`it comes down to more than ${FORMULA_NUMBERS_MAX} numbers.`)
    const breakdown = used.breakdown ?? null
    if (value !== undefined && breakdown === null) {
      return fail(`${metric} has no breakdown of which "${value}" could be a value.`)
    }
    const expression: NumberOf = {
      kind: "number",
      metric,
      stat,
      value: breakdown === null ? null : one,
      distinct: statistic.total === "distinct",
    }
    return Result.succeed({ expression, grain: one === null ? breakdown : null })
  }

  return Result.map(resolveOf(definition, null, []), (grained) => ({ ...grained, uses: [...uses.values()] }))
}

interface Grained {
  readonly expression: Expression
  readonly grain: string | null
}

const grainText = (grain: string | null): string => (grain === null ? "one number a day" : `per ${grain} and day`)

const unusable = (used: MetricDefinition, stat: string): string => {
  const { name, formula } = used
  if (formula.kind === "funnel") {
    return `${name} is a funnel, which counts a person once in a range only by looking at its moments; "query funnel ${name}" gives its conversion rates.`
  }
  return `${name} has no statistic ${stat} that a formula can use; it has ${operandNames(used).join(", ")}.`
}

/** Whether some number was picked by a value. */
const hasBreakdown = (expression: Expression): boolean => numbersOf(expression).some(({ value }) => value !== null)

/** The numbers that an expression is made of. */
export const numbersOf = (expression: Expression): ReadonlyArray<NumberOf> => {
  switch (expression.kind) {
    case "number":
      return [expression]
    case "ratio":
      return [...numbersOf(expression.numerator), ...numbersOf(expression.denominator)]
    case "sum":
      return expression.of.flatMap(numbersOf)
  }
}

/** Works out an expression exactly; what has no number is 0, and `null` whatever is divided by that. */
export const evaluate = (
  expression: Expression,
  numberOf: (number: NumberOf) => Fraction | undefined,
): Fraction | null => {
  switch (expression.kind) {
    case "number":
      return numberOf(expression) ?? FRACTION_ZERO
    case "ratio": {
      const numerator = evaluate(expression.numerator, numberOf)
      const denominator = evaluate(expression.denominator, numberOf)
      return numerator === null || denominator === null ? null : divideFractions(numerator, denominator)
    }
    case "sum": {
      let sum: Fraction | null = FRACTION_ZERO
      for (const part of expression.of) {
        const number = evaluate(part, numberOf)
        sum = sum === null || number === null ? null : addFractions(sum, number)
      }
      return sum
    }
  }
}
