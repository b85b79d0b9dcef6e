import { Effect, Schema } from "effect"
import { activeUsers, series } from "../../src/app/query/activeUsers.ts"
import { ask } from "../../src/app/query/frame.ts"
import { parseInterval } from "../../src/app/query/intervals.ts"
import { funnel } from "../../src/app/query/funnel.ts"
import { metric } from "../../src/app/query/metric.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { attributedTo, isAnonymous } from "../../src/domain/identity/distinctId.ts"
import { timedLabelsOf } from "../../src/domain/measure/Fact.ts"
import type { Attempt } from "../../src/domain/measure/funnelEntries.ts"
import { funnelReader } from "../../src/domain/measure/funnelReader.ts"
import { cutSessions, sessionRules } from "../../src/domain/measure/sessions.ts"
import { type FunnelFormula, MetricDefinition } from "../../src/domain/metric/definition.ts"
import { formatInstant } from "../../src/domain/time/instant.ts"
import { accept } from "../support/accept.ts"
import { MemoryModel } from "../support/MemoryModel.ts"
import type {
  ActiveUsersQuery,
  Case,
  CaseEvent,
  CaseRange,
  DedupQuery,
  EventTimeQuery,
  FunnelQuery,
  IdentityQuery,
  IdentityResolutionQuery,
  SessionsQuery,
  WindowFunnelQuery,
} from "./cases.ts"
import { eventOf, funnelOf, identityOf, peopleOf, settingsOf, windowFunnelOf } from "./translate.ts"

/**
 * How the events reach the read model. The numbers are a function of their set, so each case is asked in all of these:
 * as given, and latest first one at a time.
 */
export const ARRIVALS = {
  "as given": (model: MemoryModel, ...steps: ReadonlyArray<ReadonlyArray<Event>>) => {
    for (const events of steps) if (events.length > 0) model.take(events)
  },
  "backwards, one by one": (model: MemoryModel, ...steps: ReadonlyArray<ReadonlyArray<Event>>) => {
    for (const event of steps.flat().reverse()) model.take([event])
  },
}

export type Arrive = (typeof ARRIVALS)[keyof typeof ARRIVALS]

/** The numbers that a case expects, from the product. Throws for an expectation that it can't answer. */
export const evaluate = (given: Case, arrive: Arrive): Readonly<Record<string, unknown>> => {
  const { query } = given
  const numbers = (): Readonly<Record<string, unknown>> => {
    switch (query.kind) {
      case "activeUsers":
        return evaluateActiveUsers(given, query, arrive)
      case "funnel":
        return evaluateFunnel(given, query, arrive)
      case "windowFunnel":
        return evaluateWindowFunnel(given, query, arrive)
      case "sessions":
        return evaluateSessions(given, query, arrive)
      case "identity":
        return evaluateIdentity(given, query, arrive)
      case "identityResolution":
        return evaluateResolution(given, query, arrive)
      case "eventTime":
        return evaluateEventTime(given, query)
      case "dedup":
        return evaluateDedup(given, query)
    }
  }
  const found = numbers()
  return Object.fromEntries(
    Object.keys(given.expected).map((key) => {
      if (!Object.hasOwn(found, key)) throw new Error(`there is no answer for ${key}`)
      return [key, found[key]]
    }),
  )
}

const NAME = "under_test"

const modelOf = (given: Case, formula: MetricDefinition["formula"], more: Partial<MetricDefinition> = {}) => {
  // As an author's file is read, so what can't be asked for isn't tested.
  const definition = Schema.decodeSync(MetricDefinition)({ name: NAME, version: 1, formula, ...more })
  return new MemoryModel([definition], settingsOf(given))
}

const eventsOf = (given: Case) => (given.events as ReadonlyArray<CaseEvent>).map((event) => eventOf(event))

const evaluateActiveUsers = (given: Case, query: ActiveUsersQuery, arrive: Arrive) => {
  const { metric: asked, event, interval, aggregate = false, points, breakdown } = query
  const model = modelOf(
    given,
    { kind: "active-users" },
    {
      filter: { events: [event] },
      ...(breakdown === undefined ? {} : { breakdown: breakdown.replace(/^event\./, "properties.") }),
    },
  )
  arrive(model, [...peopleOf(given), ...eventsOf(given)], identityOf(given))
  const days = asked === "wau" ? 7 : asked === "mau" ? 30 : 1
  const cut = interval === "day" && days > 1 ? `rolling-${days}` : interval
  const count = (row: { readonly users: number; readonly events: number }) =>
    asked === "total" ? row.events : row.users
  const answer = (range: CaseRange) => model.ask(activeUsers({ event, interval: cut, ...range }))
  if (points !== undefined) {
    return { values: points.map((point) => count(answer({ from: point, to: point }).rows[0]!)) }
  }
  const range = query.range!
  if (breakdown !== undefined) {
    const measure = model.measure(NAME)
    const values = model.ask(metric(NAME, range)).totals.map(({ value }) => value)
    const seriesOf = Effect.fnUntraced(function* (value: string) {
      return yield* series(yield* ask(range), measure, value, yield* parseInterval(cut))
    })
    const last = (value: string) => model.ask(seriesOf(value)).rows.at(-1)!
    return { byValue: Object.fromEntries(values.map((value) => [value, count(last(value))])) }
  }
  const { rows, total } = answer(range)
  // The last window of a rolling series; else the uniques of the whole range.
  if (aggregate) return { value: count(days > 1 ? rows.at(-1)! : total) }
  return { values: rows.map(count), weeks: rows.map(({ date }) => date) }
}

const evaluateFunnel = (given: Case, query: FunnelQuery, arrive: Arrive) => {
  const formula = funnelOf(given, query)
  const model = modelOf(given, formula)
  arrive(model, [...peopleOf(given), ...eventsOf(given)], identityOf(given))
  const answer = model.ask(funnel({ name: NAME, ...query.range }))
  const reached = query.steps.map((_, step) => stepReachedBy(model, formula, step, query.range))
  expectSame(
    answer.steps.map(({ users }) => users),
    reached.map((attempts) => attempts.size),
  )
  const { histogram, people } = given.expected as {
    histogram?: ReadonlyArray<readonly [start: number, persons: number]>
    people?: Readonly<Record<string, ReadonlyArray<string>>>
  }
  return {
    counts: answer.steps.map(({ users }) => users),
    avgSeconds: answer.steps.map(({ fromPrevious }) => fromPrevious?.averageSeconds ?? null),
    ...(people === undefined
      ? {}
      : {
          people: Object.fromEntries(
            Object.keys(people).map((step) => {
              const persons = reached[Number(step)]!
              const names = eventsOf(given).map(({ userId }) => userId!)
              return [step, [...new Set(names)].filter((name) => persons.has(model.personOfUser(name)!)).sort()]
            }),
          ),
        }),
    ...(histogram === undefined
      ? {}
      : {
          histogram: histogram.map(([start], bin) => {
            const end = histogram[bin + 1]?.[0] ?? Number.POSITIVE_INFINITY
            const seconds = [...reached.at(-1)!.values()].map((times) => (times.at(-1)! - times[0]!) / 1000)
            return [start, seconds.filter((value) => value >= start && value < end).length]
          }),
        }),
  }
}

/** When each person who reached a step reached the steps up to it. */
const stepReachedBy = (model: MemoryModel, formula: FunnelFormula, step: number, range?: CaseRange) => {
  const reached = new Map<number, ReadonlyArray<number>>()
  for (const [person, attempt] of attemptsOf(model, formula, range)) {
    if (attempt.reached.length > step) reached.set(person, attempt.reached.slice(0, step + 1))
  }
  return reached
}

const attemptsOf = (model: MemoryModel, formula: FunnelFormula, range?: CaseRange): ReadonlyMap<number, Attempt> => {
  const day = (text: string) => Date.parse(`${text}T00:00:00Z`) / 86_400_000
  const from = range === undefined ? Number.NEGATIVE_INFINITY : model.zone.startOfDay(day(range.from))
  const end = range === undefined ? Number.POSITIVE_INFINITY : model.zone.startOfDay(day(range.to) + 1)
  const attempts = new Map<number, Attempt>()
  const entriesOf = funnelReader(formula)
  for (const [person, fact] of model.personFacts(model.measure(NAME).id)) {
    const history = entriesOf(timedLabelsOf(fact))
    const attempt = history.bestWhere((entry) => entry >= from && entry < end)
    if (attempt !== null) attempts.set(person, attempt)
  }
  return attempts
}

const evaluateWindowFunnel = (given: Case, query: WindowFunnelQuery, arrive: Arrive) => {
  const formula = windowFunnelOf(query)
  const model = modelOf(given, formula)
  const rows = given.events as ReadonlyArray<{ readonly user: string; readonly time: number; readonly event: unknown }>
  const events = rows.map(({ user, time, event }) =>
    eventOf({ distinctId: user, event: String(event), timestamp: formatInstant(time * 1000) }),
  )
  arrive(model, events)
  const attempts = attemptsOf(model, formula)
  const level = (user: string) => attempts.get(model.personOfUser(user)!)?.reached.length ?? 0
  const levels = Object.fromEntries([...new Set(rows.map(({ user }) => user))].map((user) => [user, level(user)]))
  expectSame(
    model.ask(funnel({ name: NAME })).steps.map(({ users }) => users),
    formula.steps.map((_, step) => Object.values(levels).filter((reached) => reached > step).length),
  )
  return { levels }
}

const evaluateSessions = (given: Case, query: SessionsQuery, arrive: Arrive) => {
  const { method, timeoutSeconds, resetAtMidnight = false, property } = query
  if (method !== "timeout" && method !== "property") throw new Error(`no sessions by ${method}`)
  const formula = {
    kind: "sessions",
    ...(timeoutSeconds === undefined ? {} : { gap: `${timeoutSeconds}s` }),
    midnightCut: resetAtMidnight,
  } as const
  const model = modelOf(given, formula)
  // Sessions by a property are sessions by the client's session id.
  const events = (given.events as ReadonlyArray<CaseEvent>).map((event) =>
    eventOf(event, property === undefined ? {} : { sessionId: event.properties![property]! }),
  )
  arrive(model, events)
  const [fact, ...more] = model.personFacts(model.measure(NAME).id).values()
  if (fact === undefined || more.length > 0) throw new Error("expected one person")
  const sessions = [...cutSessions(timedLabelsOf(fact), sessionRules(formula), model.zone)].sort(
    (a, b) => a.start - b.start,
  )
  const stored = model.ask(metric(NAME)).totals.find(({ stat, value }) => stat === "sessions" && value === "")
  return {
    sessions: Number(stored!.amount),
    sessionOfEvent: events.map(({ time }) => 1 + sessions.findIndex(({ start, end }) => start <= time && time <= end)),
    durations: sessions.map(({ start, end }) => (end - start) / 1000),
    bounce: sessions.map((session) => session.events === 1),
    // Every event of the cases that ask for it is a page view.
    ...(events.every(({ name }) => name === "pageview")
      ? { pageviews: sessions.map((session) => session.events) }
      : {}),
  }
}

/** Warnings of semantics.md by those of the cases. That two users are not merged is a rule, which warns of nothing. */
const WARNINGS: Readonly<Record<string, string | null>> = {
  "illegal distinct id": "anonymous-id-refused",
  "cannot merge already identified": null,
  ignored_invalid_timestamp: "timestamp-unreadable",
}

/** The expected warning, if all events together have the one that it stands for here. */
const warningOf = (given: Case, events: ReadonlyArray<Event>): string | undefined => {
  const expected = given.expected["warning"] as string | undefined
  const found = events.flatMap(({ warnings }) => warnings)
  const wanted = expected === undefined ? null : WARNINGS[expected]
  expectSame(found, wanted === null ? [] : [wanted])
  return expected
}

/**
 * An id that the case calls identified is one that an identify has named, so a user who owns the device of that name; one
 * that isn't has only done something, as a user where the case goes on to use it so, else as a device.
 */
const evaluateIdentity = (given: Case, query: IdentityQuery, arrive: Arrive) => {
  const model = new MemoryModel([], settingsOf(given))
  const users = new Set(
    query.log.flatMap(({ distinctId, alias }) => (alias === undefined ? [distinctId] : [distinctId, alias])),
  )
  const at = (second: number) => new Date(Date.UTC(2024, 0, 1, 0, 0, second)).toISOString()
  const before = (given.before ?? []).flatMap(({ distinctIds, identified }) =>
    distinctIds.map((id) =>
      identified
        ? accept({ type: "identify", userId: id, anonymousId: id, timestamp: at(0) })
        : accept({ event: "seen", timestamp: at(0), ...(users.has(id) ? { userId: id } : { anonymousId: id }) }),
    ),
  )
  const log = query.log.map(({ op, distinctId, anonymousId, alias }, n) => {
    const said = { userId: distinctId, timestamp: at(n + 1) }
    if (op === "identify") return accept({ type: "identify", anonymousId: anonymousId!, ...said })
    if (op === "alias" || op === "mergeDangerously") return accept({ type: "alias", previousId: alias!, ...said })
    throw new Error(`no counterpart of ${op}`)
  })
  arrive(model, before, log)
  const expected = given.expected["persons"] as ReadonlyArray<{
    distinctIds: ReadonlyArray<string>
    identified: unknown
  }>
  const persons = [...model.persons().values()].map((members) => ({
    distinctIds: [...new Set(members.map(({ distinctId }) => distinctId.slice(2)))],
    identified: members.some(({ distinctId }) => !isAnonymous(distinctId)) as unknown,
  }))
  const warning = warningOf(given, log)
  return {
    // In the order of the case; what it doesn't assert is as it says.
    persons: [
      ...expected.flatMap(({ distinctIds, identified }) =>
        persons
          .filter((person) => expectsSet(person.distinctIds, distinctIds))
          .map((person) => ({ distinctIds, identified: identified === null ? null : person.identified })),
      ),
      ...persons.filter((person) => !expected.some(({ distinctIds }) => expectsSet(person.distinctIds, distinctIds))),
    ],
    ...(warning === undefined ? {} : { warning }),
  }
}

const expectsSet = (a: ReadonlyArray<string>, b: ReadonlyArray<string>) =>
  a.length === b.length && a.every((id) => b.includes(id))

const evaluateResolution = (given: Case, query: IdentityResolutionQuery, arrive: Arrive) => {
  if (query.model !== "device+user") throw new Error(`no identity model ${query.model}`)
  const model = new MemoryModel([], settingsOf(given))
  const rows = given.events as ReadonlyArray<{ seq: number; deviceId: string; userId?: string }>
  const events = rows.map(({ seq, deviceId, userId }) =>
    accept({
      event: "seen",
      anonymousId: deviceId,
      ...(userId === undefined ? {} : { userId }),
      timestamp: new Date(Date.UTC(2024, 0, 1, 0, 0, seq)).toISOString(),
    }),
  )
  arrive(model, events)
  const persons = model.persons()
  return {
    final: events.map((event) => {
      const person = model.personOf(attributedTo(event)!)!
      return persons
        .get(person)!
        .find(({ key }) => key === person)!
        .distinctId.slice(2)
    }),
    users: model.ask(activeUsers()).total.users,
  }
}

const evaluateEventTime = (given: Case, query: EventTimeQuery) => {
  const { kind: _, ...times } = query
  const unknown = Object.keys(times).filter((key) => !["timestamp", "sentAt", "receivedAt"].includes(key))
  if (unknown.length > 0) throw new Error(`the query has ${unknown.join(", ")}`)
  const now = Date.parse(times.receivedAt)
  const event = accept({ event: "seen", userId: "u", ...times }, { mode: "client", now })
  const warning = warningOf(given, [event])
  return {
    eventTime: formatInstant(event.time).replace(".000Z", "Z"),
    ...(warning === undefined ? {} : { warning }),
  }
}

const evaluateDedup = (given: Case, { key, seen = [], input }: DedupQuery) => {
  expectSame(key, ["messageId"])
  const model = new MemoryModel([], settingsOf(given))
  const sent = (messageId: string) =>
    accept({ messageId, event: "seen", userId: "u", timestamp: "2024-01-01T00:00:00Z" })
  model.take(seen.map(sent))
  return { keptIds: model.take(input.map(({ messageId }) => sent(messageId))).map(({ id }) => id) }
}

const expectSame = (found: unknown, expected: unknown): void => {
  if (JSON.stringify(found) === JSON.stringify(expected)) return
  throw new Error(`found ${JSON.stringify(found)} where ${JSON.stringify(expected)} was expected`)
}
