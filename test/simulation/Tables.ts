import type { DistinctId } from "../../src/domain/identity/distinctId.ts"
import { type AliasStatement, statementKey } from "../../src/domain/identity/links.ts"
import { type Identity, olderPartOf } from "../../src/domain/identity/persons.ts"
import { addDecimals, type Decimal, parseDecimal } from "../../src/domain/measure/decimal.ts"
import { EMPTY_FACT, type Fact, factOf, joinFacts } from "../../src/domain/measure/Fact.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import type { CellDelta } from "../../src/domain/projection/CellSums.ts"
import type { FactChange, StepChanges } from "../../src/domain/projection/StepChanges.ts"
import { type CountedTo, isCounted, NOBODY } from "../../src/domain/projection/counted.ts"
import type { DedupeEntry } from "../../src/domain/projection/DedupeIndex.ts"
import type { FoldFailure } from "../../src/domain/projection/Fold.ts"
import { type Checkpoint, LIVE_GROUP, type LogEnd, type Uncounted } from "../../src/domain/projection/ReadModel.ts"
import { countPortion } from "../support/countPortion.ts"
import { giveKeys } from "../support/giveKeys.ts"
import type { Settings } from "../../src/domain/settings.ts"
import type { Day, DayRange } from "../../src/domain/time/calendar.ts"

export interface MeasureRow {
  readonly id: number
  definition: MetricDefinition
  build: number
  state: "building" | "ready" | "live" | "detached" | "dropped"
  liveSince: number | null
  readonly days: DayRange | null
  group: string
}

export interface CheckpointRow {
  readonly group: string
  readonly partition: number
  epoch: number
  checkpoint: Checkpoint | null
}

export interface CellRow {
  readonly day: Day
  readonly item: string
  readonly stat: string
  readonly amount: Decimal
}

/** The tables of the simulated read model, and what a database does to them by itself. They outlive all processes. */
export class Tables {
  settings: Settings | null = null
  /** Which emptying of the tables this is after; `null` before the first. */
  made: string | null = null
  whole = false
  controlEnd: LogEnd | null = null
  measures: Array<MeasureRow> = []
  checkpoints: Array<CheckpointRow> = []
  identities = new Map<number, Identity>()
  statements = new Map<string, AliasStatement>()
  /** Measure id → identity key → fact. */
  facts = new Map<number, Map<number, Fact>>()
  /** Measure id → up to whom it counts; without an entry, everybody. */
  counting = new Map<number, CountedTo>()
  /** Measure id (0: the intake) → cells by coordinates. */
  cells = new Map<number, Map<string, CellRow>>()
  /** Partition → entries by sequence. */
  dedupe = new Map<number, Map<number, DedupeEntry>>()
  duplicates = new Map<number, Map<number, ReadonlySet<number>>>()
  failures: Array<FoldFailure> = []
  // Epochs are never given twice; the other numbers begin anew when the tables are emptied.
  #epoch = 0
  #made = 0
  #measureId = 0
  #key = 0
  #instant = 0

  nextEpoch(): number {
    return ++this.#epoch
  }

  nextKeys(count: number): ReadonlyArray<number> {
    return Array.from({ length: count }, () => ++this.#key)
  }

  get nextMeasureId(): number {
    return Math.max(0, ...this.measures.map(({ id }) => id)) + 1
  }

  /** Whether answers may be given: see `ReadModel.isWhole`. */
  get answers(): boolean {
    return this.whole && !this.measures.some(({ id, state }) => state === "live" && this.counting.has(id))
  }

  /** Whether a build is the first that there is of its metric, so that it answers as soon as it is built. */
  isFirst({ id, definition: { name } }: MeasureRow): boolean {
    return !this.measures.some(
      (other) =>
        other.definition.name === name && (other.state === "live" || (other.state !== "dropped" && other.id < id)),
    )
  }

  /** Whether a build of the metric answers queries. */
  isLive(name: string): boolean {
    return this.measures.some(({ definition, state }) => state === "live" && definition.name === name)
  }

  /** Builds of a version, also those given up. */
  buildsOf({ name, version }: MetricDefinition): ReadonlyArray<MeasureRow> {
    return this.measures.filter(({ definition }) => definition.name === name && definition.version === version)
  }

  holds(definition: MetricDefinition): boolean {
    return this.buildsOf(definition).some(({ state }) => state !== "dropped")
  }

  addMeasure(definition: MetricDefinition, state: MeasureRow["state"], group: string, liveSince: number | null): void {
    const build = this.#nextBuild(definition)
    const id = ++this.#measureId
    this.measures.push({ id, definition, build, state, liveSince, days: null, group })
    this.counting.set(id, NOBODY)
  }

  /** Makes a build that of another version, which counts the same. */
  relabel(row: MeasureRow, definition: MetricDefinition): void {
    row.build = this.#nextBuild(definition)
    row.definition = definition
  }

  #nextBuild(definition: MetricDefinition): number {
    return Math.max(0, ...this.buildsOf(definition).map(({ build }) => build)) + 1
  }

  /** Notes a control fact that the tables stand on, unless they do on a later one. */
  noteControlEnd(end: LogEnd): void {
    if ((this.controlEnd?.position.sequence ?? 0) < end.position.sequence) this.controlEnd = end
  }

  /** Notes that a build begins to answer queries, at an instant of no clock. */
  begunLive(id: number): void {
    for (const row of this.measures) if (row.id === id) row.liveSince = ++this.#instant
  }

  /** Gives up a build; a group that builds nothing any more is no more. */
  drop(row: MeasureRow): void {
    row.state = "dropped"
    this.counting.delete(row.id)
    const builds = new Set(this.measures.filter(({ state }) => state === "building").map(({ group }) => group))
    this.checkpoints = this.checkpoints.filter(({ group }) => group === LIVE_GROUP || builds.has(group))
  }

  /** Deletes what a build given up has left; whether there was none. */
  sweep(): boolean {
    const row = this.measures.find(({ state }) => state === "dropped")
    if (row === undefined) return true
    this.facts.delete(row.id)
    this.cells.delete(row.id)
    this.measures = this.measures.filter((other) => other !== row)
    return false
  }

  /** The next persons that a group has not counted; where there are none, everybody is counted from now on. */
  nextUncounted(group: string, limit: number): Uncounted | "everybody" {
    for (;;) {
      const found = this.measures.filter(
        (row) => row.group === group && row.state !== "dropped" && this.counting.has(row.id),
      )
      if (found.length === 0 || this.settings === null) return "everybody"
      const from = Math.min(...found.map(({ id }) => this.counting.get(id)!))
      const measures = found.filter(({ id }) => this.counting.get(id) === from)
      const persons = Array.from(this.identities.values(), ({ person }) => Math.abs(person))
        .filter((person) => person > from)
        .sort((a, b) => a - b)
      const to = persons[Math.min(limit, persons.length) - 1]
      if (to === undefined) {
        for (const { id } of measures) this.counting.delete(id)
        continue
      }
      const members = [...this.identities.values()].filter(
        ({ person }) => isCounted(to, person) && !isCounted(from, person),
      )
      const identities = this.withOlderParts(members)
      const keys = identities.map(({ key }) => key)
      const facts = measures.map(({ id }) => this.factsOf(id, keys))
      return { settings: this.settings, measures, counted: { from, to }, identities, facts }
    }
  }

  /** Counts all persons that a group has not counted, as a projector does. */
  countEverybody(group: string): void {
    for (;;) {
      const uncounted = this.nextUncounted(group, Number.POSITIVE_INFINITY)
      if (uncounted === "everybody") return
      this.applyCount(uncounted, countPortion(uncounted))
    }
  }

  /** Writes what counting some persons changes. */
  applyCount({ measures, counted }: Uncounted, changes: StepChanges): void {
    this.writeChanges(
      measures.map(({ id }) => id),
      changes,
    )
    for (const { id } of measures) this.counting.set(id, counted.to)
  }

  /** Writes what a step or a count changes, for measures in order. */
  writeChanges(measures: ReadonlyArray<number>, changes: StepChanges): void {
    for (const row of changes.identities) this.identities.set(row.key, row)
    for (const statement of changes.statements) this.setStatement(statement)
    for (const [m, { facts }] of changes.measures.entries()) {
      for (const change of facts) this.changeFact(measures[m]!, change)
    }
    this.writeCells(measures, changes)
  }

  writeCells(measures: ReadonlyArray<number>, changes: StepChanges): void {
    for (const [m, { cells }] of changes.measures.entries()) {
      for (const delta of cells) this.addToCell(measures[m]!, delta)
    }
  }

  /** A copy of what counting reads and writes. */
  copy(): Tables {
    const nested = <K, V>(table: Map<number, Map<K, V>>) =>
      new Map(Array.from(table, ([id, rows]) => [id, new Map(rows)]))
    const copy = new Tables()
    copy.settings = this.settings
    copy.measures = this.measures
    copy.identities = new Map(this.identities)
    copy.facts = nested(this.facts)
    copy.counting = new Map(this.counting)
    copy.cells = nested(this.cells)
    return copy
  }

  /** Rows, and the older parts of all devices among them. */
  withOlderParts(rows: ReadonlyArray<Identity>): ReadonlyArray<Identity> {
    const all = new Set(rows)
    for (const { key } of rows) {
      const older = this.identities.get(olderPartOf(key))
      if (key > 0 && older !== undefined) all.add(older)
    }
    return [...all]
  }

  keysOf(distinctIds: ReadonlyArray<DistinctId>): ReadonlyArray<number> {
    return giveKeys(this.identities, distinctIds, () => ++this.#key)
  }

  factsOf(measure: number, keys: ReadonlyArray<number>): ReadonlyMap<number, Fact> {
    const facts = new Map<number, Fact>()
    for (const key of keys) {
      const fact = this.factOf(measure, key)
      if (fact.size > 0) facts.set(key, fact)
    }
    return facts
  }

  rowOf(group: string, partition: number): CheckpointRow | undefined {
    return this.checkpoints.find((row) => row.group === group && row.partition === partition)
  }

  /** Rows of the distinct ids and of all members of their persons, and those of some keys. */
  membersOf(distinctIds: ReadonlySet<DistinctId>, alone: ReadonlyArray<number> = []): ReadonlyArray<Identity> {
    const persons = new Set<number>()
    for (const { distinctId, person } of this.identities.values()) if (distinctIds.has(distinctId)) persons.add(person)
    return [...this.identities.values()]
      .filter(({ key, person }) => persons.has(person) || alone.includes(key))
      .sort((a, b) => a.key - b.key)
  }

  /** Whether a row would break what the table guarantees: a key once, and a distinct id's part once. */
  violates({ key, distinctId, older }: Identity): boolean {
    if (this.identities.has(key)) return true
    for (const row of this.identities.values()) if (row.distinctId === distinctId && row.older === older) return true
    return false
  }

  setStatement(statement: AliasStatement): void {
    this.statements.set(statementKey(statement), statement)
  }

  factOf(measure: number, key: number): Fact {
    return this.facts.get(measure)?.get(key) ?? EMPTY_FACT
  }

  changeFact(measure: number, { key, rows, replaces }: FactChange): void {
    let facts = this.facts.get(measure)
    if (facts === undefined) {
      facts = new Map()
      this.facts.set(measure, facts)
    }
    const given = factOf(rows)
    facts.set(key, replaces ? given : joinFacts(facts.get(key) ?? EMPTY_FACT, given))
  }

  addToCell(measure: number, { day, item, stat, amount }: CellDelta): void {
    let cells = this.cells.get(measure)
    if (cells === undefined) {
      cells = new Map()
      this.cells.set(measure, cells)
    }
    const key = JSON.stringify([day, item, stat])
    const held = cells.get(key)
    const added = parseDecimal(amount)
    const sum = held === undefined ? added : addDecimals(held.amount, added)
    if (sum.digits === 0n) cells.delete(key)
    else cells.set(key, { day, item, stat, amount: sum })
  }

  empty(settings: Settings): void {
    this.settings = settings
    this.made = String(++this.#made)
    this.whole = false
    this.controlEnd = null
    this.measures = []
    this.checkpoints = []
    const { identities, statements, facts, counting, cells, dedupe, duplicates } = this
    for (const table of [identities, statements, facts, counting, cells, dedupe, duplicates]) table.clear()
    this.failures = []
    this.#measureId = 0
    this.#key = 0
  }
}
