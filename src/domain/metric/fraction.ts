import { type Decimal, formatDecimal } from "../measure/decimal.ts"

/** An exact quotient of integers; what is divided here is rounded only where it is shown. */
export interface Fraction {
  readonly numerator: bigint
  /** > 0 */
  readonly denominator: bigint
}

export const FRACTION_ZERO: Fraction = { numerator: 0n, denominator: 1n }

export const fractionOf = ({ digits, scale }: Decimal): Fraction => reduced(digits, 10n ** BigInt(scale))

/** The exact sum. */
export const addFractions = (a: Fraction, b: Fraction): Fraction =>
  reduced(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator)

/** The exact quotient; `null` over zero. */
export const divideFractions = (a: Fraction, b: Fraction): Fraction | null =>
  b.numerator === 0n
    ? null
    : b.numerator < 0n
      ? reduced(-a.numerator * b.denominator, a.denominator * -b.numerator)
      : reduced(a.numerator * b.denominator, a.denominator * b.numerator)

/** Significant digits of a quotient that no decimal can spell: more than a double holds. */
export const SIGNIFICANT_DIGITS = 20

/**
 * As a decimal: exact if there is one, which there is unless something but 2 and 5 divides the denominator, else rounded to
 * {@link SIGNIFICANT_DIGITS}, half away from zero.
 */
export const formatFraction = ({ numerator, denominator }: Fraction): string => {
  const places = decimalPlaces(denominator)
  if (places !== null) {
    return formatDecimal({ digits: (numerator * 10n ** BigInt(places)) / denominator, scale: places })
  }
  const negative = numerator < 0n
  const positive = negative ? -numerator : numerator
  // One digit more or less than wanted, since the first is found by the lengths alone.
  let scale = SIGNIFICANT_DIGITS - (positive.toString().length - denominator.toString().length)
  if (rounded(positive, denominator, scale).toString().length > SIGNIFICANT_DIGITS) scale--
  const digits = rounded(positive, denominator, scale)
  return scale >= 0
    ? formatDecimal({ digits: negative ? -digits : digits, scale })
    : formatDecimal({ digits: (negative ? -digits : digits) * 10n ** BigInt(-scale), scale: 0 })
}

const reduced = (numerator: bigint, denominator: bigint): Fraction => {
  let a = numerator < 0n ? -numerator : numerator
  let b = denominator
  while (b > 0n) [a, b] = [b, a % b]
  return { numerator: numerator / a, denominator: denominator / a }
}

/** `numerator / denominator × 10^scale` to the nearest integer; both are positive. */
const rounded = (numerator: bigint, denominator: bigint, scale: number): bigint => {
  const [over, under] =
    scale >= 0 ? [numerator * 10n ** BigInt(scale), denominator] : [numerator, denominator * 10n ** BigInt(-scale)]
  return (2n * over + under) / (2n * under)
}

/** Digits behind the point that spell 1 / denominator exactly; `null` if no number of them does. */
const decimalPlaces = (denominator: bigint): number | null => {
  let rest = denominator
  let twos = 0
  let fives = 0
  for (; rest % 2n === 0n; rest /= 2n) twos++
  for (; rest % 5n === 0n; rest /= 5n) fives++
  return rest === 1n ? Math.max(twos, fives) : null
}
