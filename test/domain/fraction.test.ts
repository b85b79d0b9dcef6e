import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { parseDecimal } from "../../src/domain/measure/decimal.ts"
import {
  addFractions,
  divideFractions,
  type Fraction,
  formatFraction,
  fractionOf,
  SIGNIFICANT_DIGITS,
} from "../../src/domain/metric/fraction.ts"

/** Quotients, against the arithmetic of school. */

const arbDecimal = fc
  .tuple(fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n }), fc.nat({ max: 12 }))
  .map(([digits, scale]) => `${digits}e-${scale}`)

const fraction = (text: string): Fraction => fractionOf(parseDecimal(text))

/** Digit by digit, as on paper. */
const longDivision = (over: bigint, under: bigint, places: number): string => {
  let rest = over % under
  let digits = ""
  for (let n = 0; n < places; n++) {
    rest *= 10n
    digits += rest / under
    rest %= under
  }
  return `${over / under}.${digits}`
}

const equal = (a: Fraction, b: Fraction): boolean => a.numerator * b.denominator === b.numerator * a.denominator

describe("fractions", () => {
  test("are exact: dividing a sum and adding quotients is one", () => {
    fc.assert(
      fc.property(arbDecimal, arbDecimal, arbDecimal, (a, b, c) => {
        fc.pre(fraction(c).numerator !== 0n)
        const sumFirst = divideFractions(addFractions(fraction(a), fraction(b)), fraction(c))!
        const divideFirst = addFractions(
          divideFractions(fraction(a), fraction(c))!,
          divideFractions(fraction(b), fraction(c))!,
        )
        expect(equal(sumFirst, divideFirst)).toBe(true)
        expect(sumFirst.denominator).toBeGreaterThan(0n)
      }),
    )
  })

  test("are written as the decimal they are, where there is one", () => {
    fc.assert(
      fc.property(arbDecimal, (text) => {
        const written = formatFraction(fraction(text))
        expect(equal(fraction(written), fraction(text))).toBe(true)
        expect(written).toMatch(/^(?:0|-?(?:0|[1-9]\d*)(?:\.\d*[1-9])?)$/)
      }),
    )
    expect(formatFraction(divideFractions(fraction("1"), fraction("-8"))!)).toBe("-0.125")
  })

  test("are rounded to their first digits where there is none", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 10n ** 18n }), fc.bigInt({ min: 1n, max: 10n ** 18n }), (over, under) => {
        const written = formatFraction(divideFractions(fraction(`${over}`), fraction(`${under}`))!)
        const significant = written.replace(".", "").replace(/^0+/, "")
        const [whole, places] = longDivision(over, under, 60).split(".") as [string, string]
        const exact = `${whole}${places}`.replace(/^0+/, "")
        // What was rounded is within half of its last digit.
        if (significant.length === SIGNIFICANT_DIGITS) {
          const cut = BigInt(exact.slice(0, SIGNIFICANT_DIGITS))
          expect([cut, cut + 1n]).toContain(BigInt(significant))
          const next = Number(exact[SIGNIFICANT_DIGITS])
          expect(BigInt(significant) - cut).toBe(next >= 5 ? 1n : 0n)
        }
        expect(Math.abs(Number(written) / (Number(over) / Number(under)) - 1)).toBeLessThan(1e-14)
      }),
    )
    expect(formatFraction(divideFractions(fraction("2"), fraction("3"))!)).toBe("0.66666666666666666667")
    expect(formatFraction(divideFractions(fraction("-200"), fraction("3"))!)).toBe("-66.666666666666666667")
    const nearly = { numerator: 10n ** 25n - 1n, denominator: 3n * 10n ** 24n }
    expect(formatFraction(nearly)).toBe("3.3333333333333333333")
    expect(formatFraction({ numerator: 10n ** 30n, denominator: 3n })).toBe("333333333333333333330000000000")
  })

  test("over nothing are none", () => {
    expect(divideFractions(fraction("1"), fraction("0"))).toBeNull()
    expect(divideFractions(fraction("0"), fraction("0"))).toBeNull()
  })
})
