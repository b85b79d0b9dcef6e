import { Effect } from "effect"

/** How long an effect takes, s. */
export const seconds = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, () => (performance.now() - start) / 1000)
  })

/** Median and 99th percentile of durations, ms. */
export const percentiles = (millis: ReadonlyArray<number>) => {
  const sorted = millis.toSorted((a, b) => a - b)
  const at = (share: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!, 2)
  return { p50Millis: at(0.5), p99Millis: at(0.99), samples: sorted.length }
}

export const perSecond = (events: number, took: number): number => Math.round(events / took)

export const round = (value: number, digits: number): number => Number(value.toFixed(digits))
