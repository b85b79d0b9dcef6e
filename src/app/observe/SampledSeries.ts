import { type Context, Metric } from "effect"
import type { Family } from "./families.ts"

/** One value of a family. */
export interface Sample {
  readonly family: Family
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

/**
 * Series in the registry of metrics that stand at what the last look found. One that was not found is removed, so that a
 * partition that moved to another worker is not shown by both.
 */
export class SampledSeries {
  readonly #context: Context.Context<never>
  readonly #series = new Map<
    string,
    { readonly current: { value: number }; readonly registration: Metric.Registration }
  >()

  constructor(context: Context.Context<never>) {
    this.#context = context
  }

  /** Puts what was found in place of what was found before. */
  replace(samples: ReadonlyArray<Sample>): void {
    const found = new Set<string>()
    for (const sample of samples) {
      const key = JSON.stringify([sample.family.name, sample.labels])
      found.add(key)
      const known = this.#series.get(key)
      if (known === undefined) this.#register(key, sample)
      else known.current.value = sample.value
    }
    for (const [key, { registration }] of this.#series) {
      if (found.has(key)) continue
      registration.remove()
      this.#series.delete(key)
    }
  }

  #register(key: string, { family: { name, kind, help }, labels, value }: Sample): void {
    const options = { description: help, ...(labels === undefined ? {} : { attributes: labels }) }
    const current = { value }
    const ignored = { update: () => undefined, modify: () => undefined }
    const registration =
      kind === "gauge"
        ? Metric.registerUnsafe(Metric.gauge(name, options), this.#context, {
            get: () => ({ value: current.value }),
            ...ignored,
          })
        : Metric.registerUnsafe(Metric.counter(name, { ...options, incremental: true }), this.#context, {
            get: () => ({ count: current.value, incremental: true }),
            ...ignored,
          })
    this.#series.set(key, { current, registration })
  }
}
