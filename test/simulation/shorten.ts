import { CALL_FAULTS } from "./faults.ts"
import type { Flaw } from "./flaws.ts"
import { type Outcome, simulateSeed } from "./simulateSeed.ts"
import { HAPPENINGS, type StoryOptions } from "./story.ts"

/** Decisions shown of a failing run: the last ones, which led to it. */
const SHOWN_MAX = 150

/** Finds a shorter story of the same seed that fails too: fewer kinds of faults, fewer events. */
export const shorten = (
  seed: number,
  flaw?: Flaw,
  from: StoryOptions = {},
): { readonly options: StoryOptions; readonly outcome: Outcome } => {
  const run = (options: StoryOptions) => simulateSeed(seed, { ...options, ...(flaw === undefined ? {} : { flaw }) })
  let options = from
  let outcome = run(options)
  const tryWith = (changed: StoryOptions): boolean => {
    const other = run(changed)
    if (other.violation === null) return false
    options = changed
    outcome = other
    return true
  }
  for (const kind of [...HAPPENINGS, ...CALL_FAULTS]) {
    tryWith({ ...options, without: [...(options.without ?? []), kind] })
  }
  for (let eventsMax = outcome.events; eventsMax > 1; eventsMax = Math.floor(eventsMax * 0.7)) {
    if (!tryWith({ ...options, eventsMax })) break
  }
  return { options, outcome }
}

/** A failing seed as a person wants to see it. */
export const report = (seed: number): string => {
  const { options, outcome } = shorten(seed)
  return [
    `Seed ${seed} violates: ${outcome.violation}`,
    `Replay it: SEED=${seed} vitest run test/simulation`,
    `Shortened with ${JSON.stringify(options)} to ${outcome.events} events and ${outcome.steps} steps, of which the last are:`,
    ...outcome.trace.slice(-SHOWN_MAX).map((line) => `  ${line}`),
  ].join("\n")
}
