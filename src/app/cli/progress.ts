import { Effect, type Scope } from "effect"
import { formatCount } from "./print.ts"

/** Shows how far long work is. */
export interface Progress {
  readonly report: (done: number, total?: number) => void
}

/** Redraws at most this often, ms. */
const REDRAW_MILLIS = 100

const BAR_WIDTH = 24

/**
 * A line on standard error that is redrawn while the scope is open, and wiped at its end; nothing where standard error
 * is no terminal, so that logs stay clean.
 */
export const makeProgress = (what: string, unit = "events"): Effect.Effect<Progress, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Progress => {
      if (!process.stderr.isTTY) return { report: () => undefined }
      const started = performance.now()
      let drawn = Number.NEGATIVE_INFINITY
      return {
        report: (done, total) => {
          const now = performance.now()
          if (now - drawn < REDRAW_MILLIS) return
          drawn = now
          const rate = Math.round(done / Math.max(0.001, (now - started) / 1000))
          const share = total === undefined || total === 0 ? null : Math.min(1, done / total)
          const filled = Math.round((share ?? 0) * BAR_WIDTH)
          const bar =
            share === null ? "" : ` ${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)} ${Math.floor(share * 100)} %`
          process.stderr.write(`\r\u001b[K${what}${bar}  ${formatCount(done)} ${unit}, ${formatCount(rate)}/s`)
        },
      }
    }),
    () =>
      Effect.sync(() => {
        if (process.stderr.isTTY) process.stderr.write("\r\u001b[K")
      }),
  )
