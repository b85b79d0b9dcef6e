import { Effect, type Scope } from "effect"
import { formatCount, formatSeconds } from "./print.ts"

/** Shows how far long work is. */
export interface Progress {
  /** How much is done, and of how much in all where that is known. */
  readonly report: (done: number, total?: number) => void
}

/** How progress is shown: for people, or as lines of JSON for programs. */
export type ProgressFormat = "text" | "json"

/** A line on a terminal is redrawn at most this often, and lines elsewhere are written at most this often, ms. */
const REDRAW_MILLIS = 100
const LINE_MILLIS = { text: 15_000, json: 1_000 } as const

const BAR_WIDTH = 24

/**
 * Progress on standard error while the scope is open. On a terminal a line that is redrawn, and wiped at the end; elsewhere a
 * line every 15 seconds, so that logs of short work stay clean; as JSON a line every second.
 */
export const makeProgress = (
  what: string,
  unit = "events",
  format: ProgressFormat = "text",
): Effect.Effect<Progress, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Progress => {
      const redraws = format === "text" && process.stderr.isTTY
      const started = performance.now()
      const pause = redraws ? REDRAW_MILLIS : LINE_MILLIS[format]
      let shown = redraws ? Number.NEGATIVE_INFINITY : started
      return {
        report: (done, total) => {
          const now = performance.now()
          if (now - shown < pause) return
          shown = now
          const perSecond = Math.round(done / Math.max(0.001, (now - started) / 1000))
          const secondsLeft =
            total === undefined || perSecond === 0 ? null : Math.ceil(Math.max(0, total - done) / perSecond)
          if (format === "json") {
            const progress = { progress: what, unit, done, total: total ?? null, perSecond, secondsLeft }
            process.stderr.write(`${JSON.stringify(progress)}\n`)
            return
          }
          const rate = `${formatCount(done)} ${unit}, ${formatCount(perSecond)}/s`
          const left = secondsLeft === null ? "" : `, ${formatSeconds(secondsLeft)} left`
          const share = total === undefined || total === 0 ? null : Math.min(1, done / total)
          const text = `${what}${share === null ? "" : ` ${barOf(share, redraws)}`}  ${rate}${left}`
          process.stderr.write(redraws ? `\r\u001b[K${text}` : `${text}\n`)
        },
      }
    }),
    () =>
      Effect.sync(() => {
        if (format === "text" && process.stderr.isTTY) process.stderr.write("\r\u001b[K")
      }),
  )

const barOf = (share: number, drawn: boolean): string => {
  const percent = `${Math.floor(share * 100)} %`
  if (!drawn) return percent
  const filled = Math.round(share * BAR_WIDTH)
  return `${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)} ${percent}`
}
