import { Effect, Result } from "effect"
import type { Event } from "../../src/domain/event/Event.ts"
import { attributedTo, type DistinctId, isAnonymous, userDistinctId } from "../../src/domain/identity/distinctId.ts"
import { type AliasStatement, statementKey } from "../../src/domain/identity/links.ts"
import type { Identity } from "../../src/domain/identity/persons.ts"
import { type Batch, decodeBatch, encodeBatch } from "../../src/domain/log/batch.ts"
import { partitionOf } from "../../src/domain/log/partition.ts"
import {
  addDecimals,
  DECIMAL_ZERO,
  type Decimal,
  formatDecimal,
  parseDecimal,
} from "../../src/domain/measure/decimal.ts"
import { type Fact, factOf, type FactRow, joinFacts } from "../../src/domain/measure/Fact.ts"
import type { Measure } from "../../src/domain/measure/Measure.ts"
import type { OracleInput } from "../../src/domain/oracle/oracle.ts"
import type { KnownIdentities } from "../../src/domain/projection/whoIsWho.ts"
import { type CountedTo, EVERYBODY, isCounted, NOBODY } from "../../src/domain/projection/counted.ts"
import { Fold } from "../../src/domain/projection/Fold.ts"
import type { KnownTables } from "../../src/domain/projection/ReadModel.ts"
import { settle } from "../../src/domain/projection/settle.ts"
import type { StepChanges } from "../../src/domain/projection/StepChanges.ts"
import type { Settings } from "../../src/domain/settings.ts"
import { formatDay } from "../../src/domain/time/calendar.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import { countPortion } from "./countPortion.ts"
import { giveKeys } from "./giveKeys.ts"

/** A batch where it stands in the log. */
export interface LoggedBatch {
  readonly partition: number
  readonly sequence: number
  readonly batch: Batch
}

/** Zones ask the platform for their offsets once; laws use the same few again and again. */
const zones = new Map<string, TimeZone>()

export const zoneOf = (settings: Pick<Settings, "timeZone">): TimeZone => {
  const { timeZone } = settings
  const zone = zones.get(timeZone) ?? TimeZone.of(timeZone)!
  zones.set(timeZone, zone)
  return zone
}

/** `YYYY-MM-DD|item|stat` → exact decimal text. Cells of zero are absent. */
export type CellTexts = ReadonlyMap<string, string>

/** Cells as the oracle gives them, made comparable. */
export const cellTexts = (cells: ReadonlyMap<string, number | string>): CellTexts =>
  new Map([...cells].map(([key, amount]) => [key, String(amount)] as const).sort(byKey))

const byKey = (a: readonly [string, unknown], b: readonly [string, unknown]): number =>
  a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0

/**
 * The smallest projection there can be, for laws: it keeps what the tables keep, in maps, and loads no more for a step
 * than the tables would be asked for, so that a step that asks for too little is wrong here too.
 */
export class MemoryReadModel {
  readonly #measures: ReadonlyArray<Measure>
  readonly settings: Settings
  readonly zone: TimeZone
  readonly #identities = new Map<number, Identity>()
  readonly #statements = new Map<string, AliasStatement>()
  /** Per measure: identity key → month and value → row. */
  readonly #facts: ReadonlyArray<Map<number, Map<string, FactRow>>>
  readonly #cells: ReadonlyArray<Map<string, Decimal>>
  readonly #intake = new Map<string, Decimal>()
  /** By partition, when each id was counted last, in log time. */
  readonly #partitions = new Map<number, { readonly counted: Map<string, number>; logTime: number }>()
  #countedTo: CountedTo
  duplicates = 0
  projected = 0
  personless = 0

  /** `countedTo`: whether it counts everybody from the beginning, or nobody until `countNext`. */
  constructor(measures: ReadonlyArray<Measure>, settings: Settings, countedTo: CountedTo = EVERYBODY) {
    this.#countedTo = countedTo
    this.#measures = measures
    this.settings = settings
    this.zone = zoneOf(settings)
    this.#facts = measures.map(() => new Map<number, Map<string, FactRow>>())
    this.#cells = measures.map(() => new Map<string, Decimal>())
  }

  /** One step of the projector: takes batches, of one partition or of several, and applies all that they change. */
  step(batches: ReadonlyArray<LoggedBatch>): void {
    const fold = new Fold(this.#measures, this.zone)
    for (const { partition, sequence, batch } of batches) {
      fold.add(partition, sequence, batch, this.#findDuplicates(partition, batch))
    }
    if (fold.failures.length > 0) throw new Error(`a measure failed: ${JSON.stringify(fold.failures)}`)
    const { zone, settings } = this
    const known: KnownTables = {
      countedTo: this.#measures.map(() => this.#countedTo),
      identities: (distinctIds, withOlderParts, alone = []) =>
        Effect.sync(() => {
          const found = this.#identitiesOf(distinctIds, withOlderParts)
          const others = alone.map((key) => this.#identities.get(key)!).filter((row) => !found.rows.includes(row))
          return { ...found, rows: [...found.rows, ...others] }
        }),
      facts: (needs) => Effect.sync(() => needs.map(({ measure, keys }) => this.#factsOf(measure, keys))),
    }
    const members = this.#measures.map((_, id) => ({ id, follows: false }))
    // While nobody is counted, and now and then when everybody is, as large steps do.
    const apart = this.#countedTo === NOBODY || fold.gathered.size % 2 === 0
    const keys = apart ? giveKeys(this.#identities, [...fold.gathered.keys()], () => this.#nextKey()) : null
    this.#apply(Effect.runSync(settle(fold, known, members, { ...settings, zone }, keys)))
    applyDeltas(this.#intake, fold.intake.deltas())
    this.duplicates += fold.counts.duplicates
    this.projected += fold.counts.projected
    this.personless += fold.counts.personless
  }

  /** Counts the next persons, about as many identities as the limit says; `true` when everybody is counted. */
  countNext(limit: number): boolean {
    const from = this.#countedTo
    const uncounted = [...this.#identities.values()]
      .filter(({ person }) => !isCounted(from, person))
      .sort((a, b) => Math.abs(a.person) - Math.abs(b.person))
    if (uncounted.length === 0) {
      this.#countedTo = EVERYBODY
      return true
    }
    const to = Math.abs(uncounted[Math.min(limit, uncounted.length) - 1]!.person)
    const identities = this.#withOlderParts(uncounted.filter(({ person }) => isCounted(to, person)))
    const keys = identities.map(({ key }) => key)
    const changes = countPortion({
      settings: this.settings,
      measures: this.#measures.map(({ definition }, id) => ({ id, definition })),
      counted: { from, to },
      identities,
      facts: this.#facts.map((_, measure) => this.#factsOf(measure, keys)),
    })
    this.#apply(changes)
    this.#countedTo = to
    return false
  }

  #factsOf(measure: number, keys: ReadonlyArray<number>): ReadonlyMap<number, Fact> {
    const facts = this.#facts[measure]!
    return new Map(
      keys.flatMap((key) => {
        const fact = facts.get(key)
        return fact === undefined ? [] : [[key, new Map(fact)] as const]
      }),
    )
  }

  #apply(changes: StepChanges): void {
    for (const row of changes.identities) this.#identities.set(row.key, row)
    for (const statement of changes.statements) this.#statements.set(statementKey(statement), statement)
    changes.measures.forEach(({ facts, cells }, m) => {
      for (const { key, rows, replaces } of facts) {
        const held = replaces ? undefined : this.#facts[m]!.get(key)
        const fact = joinFacts(held ?? new Map(), factOf(rows))
        if (fact.size > 0) this.#facts[m]!.set(key, new Map(fact))
        else this.#facts[m]!.delete(key)
      }
      applyDeltas(this.#cells[m]!, cells)
    })
  }

  /** The cells of a measure, by its place. */
  cells(measure = 0): CellTexts {
    return texts(this.#cells[measure]!)
  }

  /** Cells by metric name, as `oracle` gives them. */
  get allCells(): ReadonlyMap<string, CellTexts> {
    return new Map(this.#measures.map(({ definition }, m) => [definition.name, this.cells(m)]))
  }

  get intake(): CellTexts {
    return texts(this.#intake)
  }

  /** Facts of a measure under the names of their identities (`u:ann`, `a:d1`, `a:d1#older`), which outlive keys. */
  facts(measure = 0): ReadonlyMap<string, ReadonlyArray<FactRow>> {
    return new Map(
      [...this.#facts[measure]!]
        .map(
          ([key, rows]) => [nameOf(this.#identities.get(key)!), [...rows].sort(byKey).map(([, row]) => row)] as const,
        )
        .sort(byKey),
    )
  }

  /** For each person that has any, the rows of its facts. */
  factsByPerson(measure = 0): ReadonlyMap<number, ReadonlyArray<FactRow>> {
    const entries = [...this.#facts[measure]!].map(
      ([key, rows]) => [this.#identities.get(key)!.person, [...rows.values()]] as const,
    )
    return new Map(
      [...Map.groupBy(entries, ([person]) => person)].map(([person, group]) => [
        person,
        group.flatMap(([, row]) => row),
      ]),
    )
  }

  /** Distinct id → its person's distinct id, without the older parts of devices. */
  get personOf(): ReadonlyMap<string, string> {
    return new Map(
      [...this.#identities.values()]
        .filter((row) => !row.older)
        .map((row) => [row.distinctId, nameOf(this.#identities.get(row.person)!)] as const)
        .sort(byKey),
    )
  }

  /** Rows of the distinct ids and of all members of their persons, and the statements among them: as in the tables. */
  #identitiesOf(distinctIds: ReadonlyArray<DistinctId>, withOlderParts: boolean): KnownIdentities {
    const asked = new Set(distinctIds)
    const all = [...this.#identities.values()]
    const persons = new Set(all.filter((row) => asked.has(row.distinctId)).map((row) => row.person))
    const members = all.filter((row) => persons.has(row.person))
    const rows = withOlderParts ? this.#withOlderParts(members) : members
    const users = new Set(rows.filter((row) => !isAnonymous(row.distinctId)).map((row) => row.distinctId))
    const statements = [...this.#statements.values()].filter(
      ({ first, second }) => users.has(userDistinctId(first)) || users.has(userDistinctId(second)),
    )
    const next = this.#nextKey()
    return { rows, statements, newKeys: distinctIds.map((_, n) => next + n) }
  }

  #nextKey(): number {
    return Math.max(0, ...this.#identities.keys()) + 1
  }

  #withOlderParts(rows: ReadonlyArray<Identity>): ReadonlyArray<Identity> {
    const devices = new Set(rows.filter((row) => !row.older).map((row) => row.distinctId))
    const held = new Set(rows)
    const others = [...this.#identities.values()].filter((row) => row.older && devices.has(row.distinctId))
    return [...rows, ...others.filter((row) => !held.has(row))]
  }

  #findDuplicates(partition: number, batch: Batch): ReadonlySet<number> {
    let state = this.#partitions.get(partition)
    if (state === undefined) {
      state = { counted: new Map(), logTime: 0 }
      this.#partitions.set(partition, state)
    }
    const { counted } = state
    const logTime = Math.max(state.logTime, batch.origin.loggedAt)
    const horizon = logTime - (this.settings.dedupeHorizonMillis ?? Number.POSITIVE_INFINITY)
    const duplicates = new Set<number>()
    batch.ids.forEach((id, place) => {
      const last = counted.get(id)
      if (last !== undefined && last >= horizon) duplicates.add(place)
      else counted.set(id, logTime)
    })
    state.logTime = logTime
    return duplicates
  }
}

const nameOf = ({ distinctId, older }: Identity): string => (older ? `${distinctId}#older` : distinctId)

const texts = (cells: ReadonlyMap<string, Decimal>): CellTexts =>
  new Map([...cells].map(([key, amount]) => [key, formatDecimal(amount)] as const).sort(byKey))

/** Adds as the tables do. Only sums of a property may be negative; a count below zero is a broken law. */
const applyDeltas = (cells: Map<string, Decimal>, deltas: ReturnType<Fold["intake"]["deltas"]>): void => {
  for (const { day, item, stat, amount } of deltas) {
    const key = `${formatDay(day)}|${item}|${stat}`
    const sum = addDecimals(cells.get(key) ?? DECIMAL_ZERO, parseDecimal(amount))
    if (sum.digits < 0n && !stat.startsWith("sum")) throw new Error(`cell ${key} is below zero: ${formatDecimal(sum)}`)
    if (sum.digits === 0n) cells.delete(key)
    else cells.set(key, sum)
  }
}

/** How a history is written to the log and read from it. */
export interface Packing {
  readonly partitions: number
  /** Most events of the 1st, 2nd, … batch, over and over. */
  readonly batchSizes: ReadonlyArray<number>
  /** Most batches of the 1st, 2nd, … step, over and over. */
  readonly stepSizes: ReadonlyArray<number>
  /** Log time that passes before the 1st, 2nd, … batch (ms), over and over; it may go backwards. */
  readonly pauses: ReadonlyArray<number>
}

/** Everything in one batch and one step. */
export const PACKED_WHOLE: Packing = { partitions: 1, batchSizes: [4096], stepSizes: [4096], pauses: [0] }

const LOG_BEGINS = Date.parse("2025-06-01T00:00:00Z")

/**
 * Writes events to a log as collectors would: in order of arrival, each batch holding events of one partition; and cuts
 * that log into steps. `input` says the same to the oracle.
 */
export const packLog = (
  events: ReadonlyArray<Event>,
  packing: Packing,
): { readonly steps: ReadonlyArray<ReadonlyArray<LoggedBatch>>; readonly input: ReadonlyArray<OracleInput> } => {
  const { partitions, batchSizes, stepSizes, pauses } = packing
  const open = new Map<number, Array<Event>>()
  const ends = new Map<number, { sequence: number; sum: string; logTime: number }>()
  const logged: Array<LoggedBatch> = []
  const input: Array<OracleInput> = []
  let loggedAt = LOG_BEGINS

  const write = (partition: number, group: ReadonlyArray<Event>): void => {
    const end = ends.get(partition) ?? { sequence: 0, sum: "", logTime: 0 }
    const sequence = end.sequence + 1
    loggedAt += pauses[logged.length % pauses.length]!
    const packed = encodeBatch({ writer: "w", number: sequence, previous: end.sum, partition, loggedAt }, group)
    const logTime = Math.max(end.logTime, loggedAt)
    ends.set(partition, { sequence, sum: packed.sum, logTime })
    logged.push({ partition, sequence, batch: Result.getOrThrow(decodeBatch(packed.bytes)) })
    for (const event of group) input.push({ event, partition, loggedAt: logTime })
  }

  const sizeOfBatch = (): number => Math.max(1, batchSizes[logged.length % batchSizes.length]!)
  for (const event of events) {
    const partition = partitionOf(attributedTo(event) ?? event.id, partitions)
    const group = open.get(partition) ?? []
    group.push(event)
    open.set(partition, group)
    if (group.length >= sizeOfBatch()) {
      write(partition, group)
      open.delete(partition)
    }
  }
  for (const [partition, group] of open) write(partition, group)

  const steps: Array<ReadonlyArray<LoggedBatch>> = []
  for (let from = 0; from < logged.length;) {
    const size = Math.max(1, stepSizes[steps.length % stepSizes.length]!)
    steps.push(logged.slice(from, from + size))
    from += size
  }
  return { steps, input }
}

/** Projects events packed in a certain way. */
export const projectEvents = (
  events: ReadonlyArray<Event>,
  settings: Settings,
  measures: ReadonlyArray<Measure>,
  packing: Packing = PACKED_WHOLE,
): MemoryReadModel => {
  const model = new MemoryReadModel(measures, settings)
  for (const step of packLog(events, packing).steps) model.step(step)
  return model
}
