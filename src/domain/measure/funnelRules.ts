import type { FunnelFormula } from "../metric/definition.ts"
import { parseDuration } from "../time/duration.ts"

/** The rules of a funnel, defaults filled in. Steps count from 0 here. */
export interface FunnelRules {
  readonly steps: number
  /** `Infinity` for no limit. */
  readonly windowMillis: number
  readonly graceMillis: number
  readonly firstEntryOnly: boolean
  readonly exclusions: ReadonlyArray<{ readonly fromStep: number; readonly toStep: number }>
  readonly removesPerson: boolean
  /** What a label says. */
  readonly hitOf: (label: string) => Hit
}

const DEFAULT_WINDOW_MILLIS = 14 * 86_400_000

export const funnelRules = (formula: FunnelFormula): FunnelRules => ({
  steps: formula.steps.length,
  windowMillis:
    formula.window === "none"
      ? Number.POSITIVE_INFINITY
      : formula.window === undefined
        ? DEFAULT_WINDOW_MILLIS
        : parseDuration(formula.window)!,
  graceMillis: formula.grace === undefined ? 0 : parseDuration(formula.grace)!,
  firstEntryOnly: formula.reentry === "first-entry-only",
  exclusions: (formula.exclusions ?? []).map(({ fromStep, toStep }) => ({
    fromStep: fromStep - 1,
    toStep: toStep - 1,
  })),
  removesPerson: formula.exclusionPolicy === "remove-person",
  hitOf: hitReader(),
})

/** The steps and the exclusions that an event satisfies. */
export interface Hit {
  readonly steps: ReadonlyArray<number>
  readonly exclusions: ReadonlyArray<number>
}

/** Labels of which a reader remembers what they say; a funnel has rarely more than a few. */
const HITS_MAX = 4096

/** Reads labels, lists such as `0,2` (steps) and `0,2;1` (steps; exclusions): each once, since it stands at many points. */
const hitReader = (): FunnelRules["hitOf"] => {
  const hits = new Map<string, Hit>()
  return (label) => {
    const known = hits.get(label)
    if (known !== undefined) return known
    const [steps = "", exclusions = ""] = label.split(";")
    const hit = { steps: readNumbers(steps), exclusions: readNumbers(exclusions) }
    if (hits.size < HITS_MAX) hits.set(label, hit)
    return hit
  }
}

const readNumbers = (text: string): ReadonlyArray<number> => (text === "" ? [] : text.split(",").map(Number))
