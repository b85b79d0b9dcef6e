import type { Formula, MetricDefinition } from "../metric/definition.ts"
import { compileFilter, pageReader } from "../metric/filter.ts"
import { compareIds } from "../identity/distinctId.ts"
import { parseDuration } from "../time/duration.ts"
import type { Day } from "../time/calendar.ts"
import type { TimeZone } from "../time/TimeZone.ts"
import { timedLabelsOf } from "./Fact.ts"
import type { Emit, Measure } from "./Measure.ts"
import type { TimedLabels } from "./points.ts"

/** One session of one person. Instants in ms. */
export interface Session {
  readonly start: number
  readonly end: number
  readonly events: number
  readonly entryPage: string | undefined
  readonly exitPage: string | undefined
}

export interface SessionRules {
  /** The longest pause within a session, ms; a longer one cuts. */
  readonly gapMillis: number
  /** Whether a gap also cuts events that share a client session id. */
  readonly gapCutsClientSessions: boolean
  readonly midnightCut: boolean
}

/** 30 minutes, the convention of the field since Google Analytics. */
export const DEFAULT_GAP_MILLIS = 30 * 60_000

/** The rules of a sessions formula, defaults filled in. */
export const sessionRules = (formula: Extract<Formula, { kind: "sessions" }>): SessionRules => ({
  gapMillis: formula.gap === undefined ? DEFAULT_GAP_MILLIS : parseDuration(formula.gap)!,
  gapCutsClientSessions: formula.grouping === "both",
  midnightCut: formula.midnightCut ?? false,
})

/**
 * Cuts one person's activity into sessions (docs/reference/semantics.md, Sessions). Events with a client session id group by it; the
 * others by pauses among themselves.
 */
export const cutSessions = (points: TimedLabels, rules: SessionRules, zone: TimeZone): ReadonlyArray<Session> => {
  const byClient = new Map<string | null, Array<number>>()
  // Points have few different labels, often one.
  const read = new Map<string, Note>()
  const notes: Array<Note> = []
  for (let i = 0; i < points.count; i++) {
    const label = points.labels[i]!
    let note = read.get(label)
    if (note === undefined) {
      note = readNote(label)
      read.set(label, note)
    }
    notes.push(note)
    const group = byClient.get(notes[i]!.session)
    if (group === undefined) byClient.set(notes[i]!.session, [i])
    else group.push(i)
  }
  const sessions: Array<Session> = []
  for (const [client, members] of byClient) {
    const gapCuts = client === null || rules.gapCutsClientSessions
    let start = 0
    for (let n = 1; n <= members.length; n++) {
      if (n < members.length) {
        const before = points.times[members[n - 1]!]!
        const time = points.times[members[n]!]!
        const cut =
          (gapCuts && time - before > rules.gapMillis) || (rules.midnightCut && zone.dayOf(before) !== zone.dayOf(time))
        if (!cut) continue
      }
      sessions.push(describe(points, notes, members.slice(start, n)))
      start = n
    }
  }
  return sessions
}

const describe = (points: TimedLabels, notes: ReadonlyArray<Note>, members: ReadonlyArray<number>): Session => {
  let entry: number | undefined
  let exit: number | undefined
  const page = (i: number): string => notes[i]!.page!
  for (const i of members) {
    if (notes[i]!.page === null) continue
    const time = points.times[i]!
    // At one instant the smaller page was entered first and the greater left last: some rule, the same in any order.
    if (entry === undefined || (time === points.times[entry]! && compareIds(page(i), page(entry)) < 0)) entry = i
    if (exit === undefined || time > points.times[exit]! || compareIds(page(i), page(exit)) > 0) exit = i
  }
  return {
    start: points.times[members[0]!]!,
    end: points.times[members[members.length - 1]!]!,
    events: members.length,
    entryPage: entry === undefined ? undefined : page(entry),
    exitPage: exit === undefined ? undefined : page(exit),
  }
}

interface Note {
  readonly session: string | null
  readonly page: string | null
}

const NO_NOTE: Note = { session: null, page: null }

const writeNote = (session: string | null, page: string | undefined): string =>
  session === null && page === undefined ? "" : JSON.stringify([session, page ?? null])

const readNote = (label: string): Note => {
  if (label === "") return NO_NOTE
  const [session, page] = JSON.parse(label) as [string | null, string | null]
  return { session, page }
}

const NO_SESSIONS: ReadonlyArray<Session> = []

const sameSession = (a: Session, b: Session): boolean =>
  a.start === b.start &&
  a.end === b.end &&
  a.events === b.events &&
  a.entryPage === b.entryPage &&
  a.exitPage === b.exitPage

/** The statistic that counts persons, whatever number of sessions they have on a day. */
export const PERSONS = "persons"

/** What sessions of one person add; the person itself only on days on which none of the `others` begins. */
const emitSessions = (
  sessions: ReadonlyArray<Session>,
  others: ReadonlyArray<Session>,
  zone: TimeZone,
  emit: Emit,
): void => {
  if (sessions.length === 0) return
  const days = new Set(others.map(({ start }) => zone.dayOf(start)))
  for (const session of sessions) {
    const day = zone.dayOf(session.start)
    if (!days.has(day)) emit(day, "", PERSONS, 1)
    days.add(day)
    emitSession(session, day, emit)
  }
}

/** What the sessions of one person add. */
export const contributeSessions = (points: TimedLabels, rules: SessionRules, zone: TimeZone, emit: Emit): void =>
  emitSessions(cutSessions(points, rules, zone), NO_SESSIONS, zone, emit)

/** What one session adds to the day on which it begins, but for its person. */
export const emitSession = ({ start, end, events, entryPage, exitPage }: Session, day: Day, emit: Emit): void => {
  const duration = end - start
  emit(day, "", "sessions", 1)
  emit(day, "", "duration_ms", duration)
  emit(day, String(duration), "duration", 1)
  emit(day, "", "events", events)
  if (events === 1) emit(day, "", "bounces", 1)
  if (entryPage !== undefined) emit(day, entryPage, "entries", 1)
  if (exitPage !== undefined) emit(day, exitPage, "exits", 1)
}

/**
 * Sessions per local day of their start: `sessions`, `persons`, `duration_ms`, `bounces` (one event), `events`; how
 * many lasted how long (`duration`, item = ms) for medians; `entries` and `exits` by page.
 */
export const sessions = (
  definition: MetricDefinition,
  formula: Extract<Formula, { kind: "sessions" }>,
  zone: TimeZone,
): Measure => {
  const filter = compileFilter(definition.filter ?? {}, definition.renamed)
  const pageOf = pageReader(definition.renamed)
  const rules = sessionRules(formula)
  return {
    definition,
    concerns: filter.named,
    keepsPoints: true,
    observe: (event) => (filter.holds(event) ? { value: "", label: writeNote(event.sessionId, pageOf(event)) } : null),
    contribute: (fact, emit) => contributeSessions(timedLabelsOf(fact), rules, zone, emit),
    contributeChange: (before, after, subtract, add) => {
      const was = cutSessions(timedLabelsOf(before), rules, zone)
      const is = cutSessions(timedLabelsOf(after), rules, zone)
      // New activity is mostly the latest: what came first is mostly the same.
      let same = 0
      while (same < was.length && same < is.length && sameSession(was[same]!, is[same]!)) same++
      emitSessions(was.slice(same), is, zone, subtract)
      emitSessions(is.slice(same), was, zone, add)
    },
    tally: null,
  }
}
