import type { DistinctId } from "../../src/domain/identity/distinctId.ts"
import { type AliasStatement, pairKey as statementKey } from "../../src/domain/identity/links.ts"
import type { Identity } from "../../src/domain/identity/persons.ts"
import { addDecimals, type Decimal, parseDecimal } from "../../src/domain/measure/decimal.ts"
import { EMPTY_FACT, type Fact, type FactRow, factKey, joinFacts } from "../../src/domain/measure/Fact.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import type { CellDelta } from "../../src/domain/projection/CellSums.ts"
import type { FactChange } from "../../src/domain/projection/completeStep.ts"
import type { DedupeEntry } from "../../src/domain/projection/DedupeIndex.ts"
import type { FoldFailure } from "../../src/domain/projection/Fold.ts"
import type { Checkpoint, LogEnd } from "../../src/domain/projection/ReadModel.ts"
import type { Settings } from "../../src/domain/settings.ts"
import type { Day } from "../../src/domain/time/calendar.ts"

export interface MeasureRow {
  readonly id: number
  readonly definition: MetricDefinition
  state: "building" | "live" | "detached"
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

  nextEpoch(): number {
    return ++this.#epoch
  }

  nextKeys(count: number): ReadonlyArray<number> {
    return Array.from({ length: count }, () => ++this.#key)
  }

  get nextMeasureId(): number {
    return Math.max(0, ...this.measures.map(({ id }) => id)) + 1
  }

  holds({ name, version }: MetricDefinition): boolean {
    return this.measures.some(({ definition }) => definition.name === name && definition.version === version)
  }

  addMeasure(definition: MetricDefinition, state: MeasureRow["state"], group: string): void {
    this.measures.push({ id: ++this.#measureId, definition, state, group })
  }

  rowOf(group: string, partition: number): CheckpointRow | undefined {
    return this.checkpoints.find((row) => row.group === group && row.partition === partition)
  }

  /** Rows of the distinct ids and of all members of their persons. */
  membersOf(distinctIds: ReadonlySet<DistinctId>): ReadonlyArray<Identity> {
    const persons = new Set<number>()
    for (const { distinctId, person } of this.identities.values()) if (distinctIds.has(distinctId)) persons.add(person)
    return [...this.identities.values()].filter(({ person }) => persons.has(person)).sort((a, b) => a.key - b.key)
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
    const given = new Map(rows.map((row: FactRow) => [factKey(row.value, row.month), row]))
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
    for (const table of [this.identities, this.statements, this.facts, this.cells, this.dedupe, this.duplicates]) {
      table.clear()
    }
    this.failures = []
    this.#measureId = 0
    this.#key = 0
  }
}
