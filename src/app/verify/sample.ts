import { hash } from "node:crypto"
import { Effect } from "effect"
import { BadQuery } from "../query/errors.ts"

/** How many days of those there are: a share of them (0…1), or a number. */
export type Sample = { readonly share: number } | { readonly days: number }

/** Reads a sample: `10%`, or a number of days. */
export const parseSample = (text: string): Effect.Effect<Sample, BadQuery> => {
  const share = /^(\d{1,3}(?:\.\d{1,6})?)%$/.exec(text)
  if (share !== null && Number(share[1]) > 0 && Number(share[1]) <= 100) {
    return Effect.succeed({ share: Number(share[1]) / 100 })
  }
  if (/^[1-9]\d{0,5}$/.test(text)) return Effect.succeed({ days: Number(text) })
  return new BadQuery({
    problem: `"${text}" is no sample.`,
    remedy: "Give --sample as a share of the days, such as 10%, or as a number of days, such as 7.",
  }).pipe(Effect.fail)
}

/**
 * Chooses days, at least one if there is any: the same of the same days under the same seed, and others under another, so
 * that whoever samples every night sees all days in time.
 */
export const sampleDays = (days: Iterable<string>, sample: Sample, seed: string): ReadonlySet<string> => {
  const ranked = Array.from(new Set(days), (day) => [hash("sha256", `${seed} ${day}`, "hex"), day] as const)
  ranked.sort(([a], [b]) => (a < b ? -1 : 1))
  const wanted = "days" in sample ? sample.days : Math.max(1, Math.round(sample.share * ranked.length))
  return new Set(ranked.slice(0, wanted).map(([, day]) => day))
}
