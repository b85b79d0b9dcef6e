import { Clock, Effect } from "effect"
import { formatCut } from "../../domain/log/cut.ts"
import type { Position } from "../../domain/log/position.ts"
import { BUILTIN_METRICS } from "../../domain/metric/builtin.ts"
import type { Build } from "../../domain/projection/ReadModel.ts"
import { type Cell, INTAKE, ReadModelQueries, type Standing } from "../../domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS, type Settings } from "../../domain/settings.ts"
import { type DayRange, formatDay } from "../../domain/time/calendar.ts"
import { formatInstant } from "../../domain/time/instant.ts"
import { TimeZone } from "../../domain/time/TimeZone.ts"
import { buildName, byVersion, isNamed, parseBuildName } from "../../domain/projection/buildName.ts"
import { nearest } from "../../domain/nearest.ts"
import { endOf } from "../provePosition.ts"
import { BadQuery } from "./errors.ts"
import { type RangeInput, resolveRange } from "./range.ts"
import { wholeStanding } from "./whole.ts"

/** What every answer says about itself (docs/reference/semantics.md, Every answer carries). */
export interface Frame {
  readonly metric: string
  readonly version: number
  readonly timeZone: string
  /** Local days, both included. */
  readonly from: string
  readonly to: string
  /** The answer holds for all events up to here; `instant` is the log time reached. */
  readonly asOf: {
    readonly positions: ReadonlyArray<Position>
    /** The same and the control facts in one text, to ask again as of there; `null` before anything is projected. */
    readonly cut: string | null
    readonly instant: string | null
  }
  /** Shares (0…1) of the events of the range: that arrived on a later day, and that were repeats. */
  readonly quality: { readonly late: number; readonly duplicate: number }
  /** When a published number of this answer last changed, and why; `null` if none did. */
  readonly revisedAt: string | null
  readonly revisionCause: string | null
}

/** Asks all that an answer needs at once, so that it takes the database one round trip. */
export const AT_ONCE = { concurrency: "unbounded" } as const

/** The circumstances in which a query is answered. */
export interface Question extends Standing {
  readonly settings: Settings
  readonly zone: TimeZone
  readonly range: DayRange
}

/** Reads how the tables stand and works out the range. */
export const ask = Effect.fnUntraced(function* (input: RangeInput) {
  const standing = yield* wholeStanding
  const settings = standing.settings ?? DEFAULT_SETTINGS
  const zone = TimeZone.of(settings.timeZone)!
  const today = zone.dayOf(yield* Clock.currentTimeMillis)
  return { ...standing, settings, zone, range: yield* resolveRange(input, standing.stored, today) } satisfies Question
})

type FormulaKind = Build["definition"]["formula"]["kind"]

/** There are no tables that could answer: the first projection is to come, or the one after an upgrade that makes them anew. */
export const nothingProjected = () =>
  new BadQuery({
    problem: "Nothing is projected yet, or an upgrade has emptied the read model.",
    remedy: `"tidemark project --once" projects what is in the log; workers do it by themselves.`,
  })

/** The live build of a metric, or the one that is named (`signups@2`, `signups@2.3`), of one kind if given. */
export const askedBuild = Effect.fnUntraced(function* (
  { measures, whole }: Question,
  name: string,
  kind?: FormulaKind,
) {
  // The first projection brings the built-in metrics.
  if (measures.length === 0 && Object.values(BUILTIN_METRICS).some((builtin) => builtin.name === name)) {
    return yield* nothingProjected()
  }
  const built = measures
    .filter(({ definition, state }) => state !== "building" && (kind === undefined || definition.formula.kind === kind))
    .sort(byVersion)
  const live = built.filter(({ state }) => state === "live")
  const named = parseBuildName(name)
  const found =
    named === undefined || named.version === null
      ? live.find((measure) => measure.definition.name === name)
      : built.findLast((measure) => isNamed(measure, named))
  if (found !== undefined) return found
  const others = built.filter(({ definition }) => definition.name === named?.metric)
  if (others.length > 0) {
    return yield* new BadQuery({
      problem: `There is no ${name} to ask for here.`,
      remedy: `There are: ${others.map(buildName).join(", ")}.`,
    })
  }
  const meant = named?.metric ?? name
  const there = measures.filter(({ definition }) => definition.name === meant)
  const otherKind = there.find(({ definition }) => kind !== undefined && definition.formula.kind !== kind)
  if (otherKind !== undefined) {
    return yield* new BadQuery({
      problem: `${meant} is no ${kind}, but of kind ${otherKind.definition.formula.kind}.`,
      remedy: `"tidemark query metric ${meant}" gives its numbers.`,
    })
  }
  if (there.length > 0) {
    return yield* new BadQuery({
      problem: `${meant} is being built and has no numbers yet.`,
      remedy: `"tidemark status" shows how far it is.`,
    })
  }
  const names = live.map((measure) => measure.definition.name)
  const like = nearest(name, names)
  return yield* new BadQuery({
    problem: `There is no metric "${name}" to ask for here.`,
    remedy:
      names.length === 0 && kind !== undefined && whole
        ? `No ${kind} is applied yet; "tidemark metrics apply FILE" does that.`
        : names.length === 0
          ? `Project the log first ("tidemark project --once"), or apply a definition ("tidemark metrics apply FILE").`
          : like === null
            ? `There are: ${names.join(", ")}.`
            : `Did you mean "${like}"?`,
  })
})

/** Where the read model stands. */
export const asOfStanding = ({ checkpoints, controlEnd }: Standing): Frame["asOf"] => {
  const cut = [...(controlEnd === null ? [] : [controlEnd]), ...checkpoints.map((checkpoint) => endOf(checkpoint))]
  return {
    positions: checkpoints.map(({ position }) => position),
    cut: checkpoints.length === 0 ? null : formatCut(cut),
    instant: checkpoints.length === 0 ? null : formatInstant(Math.min(...checkpoints.map(({ logTime }) => logTime))),
  }
}

/** Shares of late and repeated events in a range. */
export const qualityOf = Effect.fnUntraced(function* (range: DayRange) {
  const queries = yield* ReadModelQueries
  const intake = { accepted: 0, late: 0, duplicates: 0 }
  for (const { stat, amount } of yield* queries.cells(INTAKE, range, { stats: Object.keys(intake) })) {
    intake[stat as keyof typeof intake] += Number(amount)
  }
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole)
  return {
    late: share(intake.late, intake.accepted),
    duplicate: share(intake.duplicates, intake.accepted + intake.duplicates),
  } satisfies Frame["quality"]
})

/** The frame of an answer; `cells` are those it was made of, for their revisions. */
export const frame = (
  definition: { readonly name: string; readonly version: number },
  question: Question,
  cells: ReadonlyArray<Cell>,
  quality: Frame["quality"],
): Frame => {
  const { settings, range } = question
  let revised: Cell | null = null
  for (const cell of cells) {
    if (cell.revisedAt !== null && (revised === null || cell.revisedAt > revised.revisedAt!)) revised = cell
  }
  return {
    metric: definition.name,
    version: definition.version,
    timeZone: settings.timeZone,
    from: formatDay(range.from),
    to: formatDay(range.to),
    asOf: asOfStanding(question),
    quality,
    revisedAt: revised === null ? null : formatInstant(revised.revisedAt!),
    revisionCause: revised?.revisionCause ?? null,
  }
}
