/**
 * An exact sum of numbers, each taken as its shortest decimal spelling (docs/reference/semantics.md, Counting: sums "never drift", "no
 * binary floats in stored sums").
 */
export class ExactSum {
  /** The sum is `digits` / 10^`scale`. */
  #digits = 0n
  #scale = 0

  add(value: number): void {
    const match = /^(-?\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value))!
    const fraction = match[2] ?? ""
    // The sign stands before the digits, so that of -0.5 survives: "-0" and "5" make -05.
    let digits = BigInt(match[1]! + fraction)
    let scale = fraction.length - Number(match[3] ?? 0)
    if (scale < 0) {
      digits *= 10n ** BigInt(-scale)
      scale = 0
    }
    const common = Math.max(scale, this.#scale)
    this.#digits = this.#digits * 10n ** BigInt(common - this.#scale) + digits * 10n ** BigInt(common - scale)
    this.#scale = common
  }

  /** Canonical: no exponent, no trailing zeros, no negative zero. */
  toString(): string {
    const negative = this.#digits < 0n
    const digits = String(negative ? -this.#digits : this.#digits).padStart(this.#scale + 1, "0")
    const whole = digits.slice(0, digits.length - this.#scale)
    const fraction = digits.slice(digits.length - this.#scale).replace(/0+$/, "")
    return `${negative ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`
  }
}
