/**
 * Exact decimals for sums: an integer and how many of its digits stand behind the point. No binary fraction ever
 * enters a stored sum (docs/reference/semantics.md, Counting).
 */
export interface Decimal {
  readonly digits: bigint
  /** ≥ 0 */
  readonly scale: number
}

export const DECIMAL_ZERO: Decimal = { digits: 0n, scale: 0 }

/** The decimal that a finite JSON number spells: the shortest that reads back as the same double. */
export const decimalOf = (value: number): Decimal => parseDecimal(String(value))

/** Reads plain or exponent notation (`12.50`, `1e-7`). */
export const parseDecimal = (text: string): Decimal => {
  const [mantissa, exponent] = text.split(/[eE]/) as [string, string | undefined]
  const [whole, fraction = ""] = mantissa.split(".") as [string, string | undefined]
  const scale = fraction.length - Number(exponent ?? 0)
  const digits = BigInt(whole + fraction)
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 }
}

/** The exact sum. */
export const addDecimals = (a: Decimal, b: Decimal): Decimal => {
  const scale = Math.max(a.scale, b.scale)
  return {
    digits: a.digits * 10n ** BigInt(scale - a.scale) + b.digits * 10n ** BigInt(scale - b.scale),
    scale,
  }
}

/** Plain notation without trailing zeros, exponent or minus zero. */
export const formatDecimal = ({ digits, scale }: Decimal): string => {
  const negative = digits < 0n
  const text = (negative ? -digits : digits).toString().padStart(scale + 1, "0")
  const whole = text.slice(0, text.length - scale)
  const fraction = text.slice(text.length - scale).replace(/0+$/, "")
  return `${negative ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`
}
