import { Effect, Layer, Result, Stream } from "effect"
import type { DayRange } from "../../src/domain/time/calendar.ts"
import { dedupeBatch } from "../../src/app/dedupeBatch.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { type DistinctId, userDistinctId } from "../../src/domain/identity/distinctId.ts"
import { type AliasStatement, statementKey } from "../../src/domain/identity/links.ts"
import type { Identity } from "../../src/domain/identity/persons.ts"
import { type Batch, decodeBatch, encodeBatch } from "../../src/domain/log/batch.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { compileMeasure } from "../../src/domain/measure/compile.ts"
import { addDecimals, DECIMAL_ZERO, formatDecimal, parseDecimal } from "../../src/domain/measure/decimal.ts"
import { daysOfMask, EMPTY_FACT, type Fact, factOf, joinFacts, timedLabelsOf } from "../../src/domain/measure/Fact.ts"
import type { Measure } from "../../src/domain/measure/Measure.ts"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import type { CellDelta } from "../../src/domain/projection/CellSums.ts"
import { EVERYBODY } from "../../src/domain/projection/counted.ts"
import { DedupeIndex } from "../../src/domain/projection/DedupeIndex.ts"
import { Fold } from "../../src/domain/projection/Fold.ts"
import { type KnownTables, LIVE_GROUP, type Build, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import {
  type Cell,
  INTAKE,
  ReadModelQueries,
  type Returned,
  type Standing,
} from "../../src/domain/projection/ReadModelQueries.ts"
import { settle } from "../../src/domain/projection/settle.ts"
import type { Settings } from "../../src/domain/settings.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"

/**
 * A read model in memory: the kernel's own projection step by step, without log or database, and enough of the ports
 * for the product's queries to be asked of it. Takes milliseconds where a store takes seconds.
 */
export class MemoryModel {
  readonly settings: Settings
  readonly zone: TimeZone
  readonly measures: ReadonlyArray<Build>
  readonly #compiled: ReadonlyArray<Measure>
  #rows = new Map<number, Identity>()
  readonly #statements = new Map<string, AliasStatement>()
  readonly #facts: ReadonlyArray<Map<number, Fact>>
  /** Per measure id (0: the intake), cells by coordinates. */
  readonly #cells = new Map<number, Map<string, CellDelta>>()
  readonly #batches: Array<Batch> = []
  readonly #dedupe: DedupeIndex

  constructor(definitions: ReadonlyArray<MetricDefinition>, settings: Settings) {
    this.settings = settings
    this.zone = TimeZone.of(settings.timeZone)!
    this.measures = [...Object.values(BUILTIN_METRICS), ...definitions].map((definition, n) => ({
      id: n + 1,
      definition,
      build: 1,
      liveSince: 0,
      days: null,
      state: "live",
      group: LIVE_GROUP,
    }))
    this.#compiled = this.measures.map(({ definition }) => compileMeasure(definition, this.zone))
    this.#facts = this.measures.map(() => new Map())
    this.#dedupe = new DedupeIndex(settings.dedupeHorizonMillis)
  }

  /** Projects events as one batch in one step. Returns those that counted, the others being repeats. */
  take(events: ReadonlyArray<Event>): ReadonlyArray<Event> {
    const sequence = this.#batches.length + 1
    const origin = { writer: "w", number: sequence, previous: "", partition: 0, loggedAt: 0 }
    const batch = Result.getOrThrow(decodeBatch(encodeBatch(origin, events).bytes))
    this.#batches.push(batch)
    const readBatch = (at: number) => Effect.succeed(this.#batches[at - 1]!)
    const { places } = Effect.runSync(dedupeBatch(this.#dedupe, readBatch, sequence, batch, 0))

    const fold = new Fold(this.#compiled, this.zone)
    fold.add(0, sequence, batch, places)
    if (fold.failures.length > 0) throw new Error(`a measure failed: ${JSON.stringify(fold.failures)}`)
    const next = Math.max(0, ...this.#rows.keys()) + 1
    const known: KnownTables = {
      countedTo: this.measures.map(() => EVERYBODY),
      identities: () =>
        Effect.succeed({
          rows: [...this.#rows.values()],
          statements: [...this.#statements.values()],
          newKeys: Array.from({ length: fold.gathered.size }, (_, n) => next + n),
        }),
      facts: () => Effect.succeed(this.#facts),
    }
    const members = this.measures.map(({ id }) => ({ id, follows: false }))
    const changes = Effect.runSync(settle(fold, known, members, { ...this.settings, zone: this.zone }, null))
    for (const row of changes.identities) this.#rows.set(row.key, row)
    for (const statement of changes.statements) this.#statements.set(statementKey(statement), statement)
    changes.measures.forEach(({ facts, cells }, m) => {
      for (const { key, rows, replaces } of facts) {
        const held = replaces ? EMPTY_FACT : (this.#facts[m]!.get(key) ?? EMPTY_FACT)
        this.#facts[m]!.set(key, joinFacts(held, factOf(rows)))
      }
      this.#addToCells(m + 1, cells)
    })
    this.#addToCells(INTAKE, fold.intake.deltas())
    return events.filter((_, place) => !places.has(place))
  }

  /** Every person with its distinct ids. Ids that are only ever named, such as in an alias, belong to somebody too. */
  persons(): ReadonlyMap<number, ReadonlyArray<Identity>> {
    const persons = new Map<number, Array<Identity>>()
    for (const row of this.#rows.values()) {
      const members = persons.get(row.person)
      if (members === undefined) persons.set(row.person, [row])
      else members.push(row)
    }
    return persons
  }

  /** The person of a distinct id. */
  personOf(distinctId: DistinctId): number | undefined {
    return [...this.#rows.values()].find((row) => row.distinctId === distinctId && !row.older)?.person
  }

  /** The person of a user id. */
  personOfUser(userId: string): number | undefined {
    return this.personOf(userDistinctId(userId))
  }

  measure(name: string): Build {
    return this.measures.find(({ definition }) => definition.name === name)!
  }

  /** For each person, the join of its distinct ids' facts. */
  personFacts(measure: number): ReadonlyMap<number, Fact> {
    const facts = new Map<number, Fact>()
    for (const [key, fact] of this.#facts[measure - 1]!) {
      if (fact.size === 0) continue
      const { person } = this.#rows.get(key)!
      facts.set(person, joinFacts(facts.get(person) ?? EMPTY_FACT, fact))
    }
    return facts
  }

  /** Asks one of the product's queries. */
  ask<A, E>(query: Effect.Effect<A, E, Asked>): A {
    return Effect.runSync(Effect.provide(query, this.layer))
  }

  get layer(): Layer.Layer<Asked> {
    return Layer.mergeAll(
      Layer.succeed(ReadModel, this.#readModel()),
      Layer.succeed(ReadModelQueries, this.#queries()),
      Layer.succeed(EventLog, NO_LOG),
    )
  }

  #readModel(): ReadModel["Service"] {
    return ReadModel.of({
      isWhole: Effect.succeed(true),
      made: Effect.succeed("made"),
      markWhole: () => Effect.void,
      controlEnd: Effect.succeed(null),
      noteControlEnd: () => Effect.void,
      settings: Effect.succeed(this.settings),
      measures: Effect.succeed(this.measures),
      checkpoint: () => NOT_HERE,
      claim: () => NOT_HERE,
      dedupeEntries: () => NOT_HERE,
      duplicates: () => NOT_HERE,
      keysOf: () => NOT_HERE,
      commit: () => NOT_HERE,
      register: () => NOT_HERE,
      countNext: () => NOT_HERE,
      rebuild: () => NOT_HERE,
      adopt: () => NOT_HERE,
      makeLive: () => NOT_HERE,
      relabel: () => NOT_HERE,
      drop: () => NOT_HERE,
      sweep: () => NOT_HERE,
      wipe: () => NOT_HERE,
    })
  }

  #queries(): ReadModelQueries["Service"] {
    return ReadModelQueries.of({
      snapshot: (questions) => questions,
      claims: Effect.succeed([]),
      counting: Effect.succeed(new Map()),
      cells: (measure, range, filter = {}) =>
        Effect.sync(() =>
          this.#cellsOf(measure)
            .filter(({ day }) => day >= range.from && day <= range.to)
            .filter(({ stat }) => filter.stats === undefined || filter.stats.includes(stat))
            .filter(({ item }) => filter.item === undefined || item === filter.item)
            .map((cell): Cell => ({ ...cell, revisedAt: null, revisionCause: null })),
        ),
      compareCells: () => NOT_HERE,
      standing: Effect.sync((): Standing => {
        const days = this.#cellsOf(INTAKE)
          .filter(({ stat }) => stat === "accepted")
          .map(({ day }) => day)
        const stored = days.length === 0 ? null : { from: Math.min(...days), to: Math.max(...days) }
        return {
          settings: this.settings,
          whole: true,
          measures: this.measures,
          stored,
          checkpoints: [],
          controlEnd: null,
        }
      }),
      uniquesByValue: (measure, range) =>
        Effect.sync(() => {
          const users = new Map<string, number>()
          for (const fact of this.personFacts(measure).values()) {
            const values = [...fact.values()]
              .filter((row) => daysWithin(row, range).length > 0)
              .map(({ value }) => value)
            for (const value of new Set(values)) users.set(value, (users.get(value) ?? 0) + 1)
          }
          return users
        }),
      returned: (measure, value, range) =>
        Effect.sync(() =>
          [...this.personFacts(measure).values()].flatMap((fact) => {
            const days = [...fact.values()]
              .filter((row) => row.value === value)
              .flatMap(({ month, mask }) => daysOfMask(month, mask))
              .sort((a, b) => a - b)
            return days
              .map((day, n): Returned => ({ day, since: n === 0 ? Infinity : day - days[n - 1]!, users: 1 }))
              .filter(({ day }) => day >= range.from && day <= range.to)
          }),
        ),
      personFacts: (measure) => Effect.sync(() => this.personFacts(measure)),
      personPoints: (measure) =>
        Effect.sync(() => (visit) => {
          for (const fact of this.personFacts(measure).values()) visit(timedLabelsOf(fact))
        }),
      // All of them: more than was asked for is as good, since the caller works out again who is who.
      identities: () =>
        Effect.sync(() => ({ rows: [...this.#rows.values()], statements: [...this.#statements.values()] })),
      personOf: (distinctId) => Effect.sync(() => this.persons().get(this.personOf(distinctId) ?? -1) ?? []),
      failures: Effect.succeed([]),
      sizesOf: () => NOT_HERE,
      sizes: NOT_HERE,
    })
  }

  /** Cells by day, then statistic, then item, as the tables' adapter gives them. */
  #cellsOf(measure: number): ReadonlyArray<CellDelta> {
    const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
    return [...(this.#cells.get(measure)?.values() ?? [])]
      .filter(({ amount }) => amount !== "0")
      .sort((a, b) => a.day - b.day || order(a.stat, b.stat) || order(a.item, b.item))
  }

  #addToCells(measure: number, deltas: ReadonlyArray<CellDelta>): void {
    const cells = this.#cells.get(measure) ?? new Map<string, CellDelta>()
    this.#cells.set(measure, cells)
    for (const delta of deltas) {
      const key = JSON.stringify([delta.day, delta.stat, delta.item])
      const held = cells.get(key)
      const sum = addDecimals(held === undefined ? DECIMAL_ZERO : parseDecimal(held.amount), parseDecimal(delta.amount))
      cells.set(key, { ...delta, amount: formatDecimal(sum) })
    }
  }
}

type Asked = ReadModel | ReadModelQueries | EventLog

const NOT_HERE = Effect.die("the model in memory has no such thing")

const NO_LOG = EventLog.of({
  incarnation: "none",
  partitions: 1,
  writers: "one",
  append: () => NOT_HERE,
  read: () => Stream.fromEffect(NOT_HERE),
  follow: () => Stream.fromEffect(NOT_HERE),
  prove: NOT_HERE,
  begins: () => NOT_HERE,
  acceptEnd: Effect.void,
  at: () => NOT_HERE,
  status: NOT_HERE,
})

const daysWithin = ({ month, mask }: { readonly month: number; readonly mask: number }, { from, to }: DayRange) =>
  daysOfMask(month, mask).filter((day) => day >= from && day <= to)
