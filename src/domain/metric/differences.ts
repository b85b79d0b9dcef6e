import type { MetricDefinition } from "./definition.ts"

/** One field in which two definitions differ; `undefined` where one of them hasn't got it. */
export interface FieldDifference {
  /** Such as `formula.steps[1].event`. */
  readonly path: string
  readonly before: unknown
  readonly after: unknown
}

/** Fields that say what a metric is for; no number follows from them. */
const DESCRIPTIVE: ReadonlySet<string> = new Set(["description", "owner", "frequency", "target", "tier", "parent"])

/** Said of a change, not of a metric. */
const OF_THE_CHANGE: ReadonlySet<string> = new Set(["name", "version", "expect"])

/** Whether numbers follow from the field at a path. */
export const decidesNumbers = (path: string): boolean => !DESCRIPTIVE.has(path)

/** Where two versions of a metric differ, field by field. */
export const differencesOf = (before: MetricDefinition, after: MetricDefinition): ReadonlyArray<FieldDifference> =>
  differencesAt("", before, after).filter(({ path }) => !OF_THE_CHANGE.has(path))

/** Whether two versions of a metric come to the same numbers, since they differ at most in what it is for. */
export const countsTheSame = (a: MetricDefinition, b: MetricDefinition): boolean =>
  differencesOf(a, b).every(({ path }) => !decidesNumbers(path))

/** Whether two definitions say the same, all of it, in whatever order. */
export const saysTheSame = (a: MetricDefinition, b: MetricDefinition): boolean => differencesAt("", a, b).length === 0

const differencesAt = (path: string, before: unknown, after: unknown): ReadonlyArray<FieldDifference> => {
  if (Array.isArray(before) && Array.isArray(after)) {
    return Array.from({ length: Math.max(before.length, after.length) }, (_, n) => n).flatMap((n) =>
      differencesAt(`${path}[${n}]`, before[n], after[n]),
    )
  }
  if (isRecord(before) && isRecord(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)])
    return [...keys].flatMap((key) => differencesAt(path === "" ? key : `${path}.${key}`, before[key], after[key]))
  }
  return Object.is(before, after) ? [] : [{ path, before, after }]
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
