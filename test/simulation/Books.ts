import { Result } from "effect"
import type { Event } from "../../src/domain/event/Event.ts"
import { attributedTo } from "../../src/domain/identity/distinctId.ts"
import { type Batch, decodeBatch } from "../../src/domain/log/batch.ts"
import { CONTROL_PARTITION } from "../../src/domain/log/EventLog.ts"
import { partitionOf } from "../../src/domain/log/partition.ts"
import { formatDecimal, parseDecimal } from "../../src/domain/measure/decimal.ts"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import { oracle, type OracleInput } from "../../src/domain/oracle/oracle.ts"
import { LIVE_GROUP } from "../../src/domain/projection/ReadModel.ts"
import { INTAKE } from "../../src/domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS, sameSettings, type Settings } from "../../src/domain/settings.ts"
import { formatDay } from "../../src/domain/time/calendar.ts"
import type { StoredRecord } from "./SimulatedLog.ts"
import type { Happening } from "./SimulatedReadModel.ts"
import type { Tables } from "./Tables.ts"

/** What the control facts of some records say, read by nobody's code but this. */
export interface Agreed {
  readonly settings: Settings
  readonly metrics: ReadonlyArray<AgreedMetric>
}

const opened = new WeakMap<StoredRecord, Batch>()

/** Records without those that stand in the log a second time: what they bring came with the first. */
const once = (records: ReadonlyArray<StoredRecord>): ReadonlyArray<StoredRecord> => {
  const seen = new Set<string>()
  return records.filter(({ batchId }) => !seen.has(batchId) && seen.add(batchId))
}

/** Opens a record that is known to be whole. */
export const batchOf = (record: StoredRecord): Batch => {
  let batch = opened.get(record)
  if (batch === undefined) {
    batch = Result.getOrThrow(decodeBatch(record.bytes))
    opened.set(record, batch)
  }
  return batch
}

/** The independent checkers: they keep books of what they are told, and judge the tables by the oracle alone. */
export class Books {
  /** What has gone wrong so far. */
  readonly violations: Array<string> = []
  /** Times that the tables were compared with the oracle. */
  comparisons = 0
  commits = 0
  readonly #partitions: number
  readonly #acknowledged: Array<Event> = []
  /** `group/partition` → the epoch that may commit; absent when nobody may. */
  readonly #owners = new Map<string, number>()
  /** `group/partition` → sequence of the checkpoint. */
  readonly #positions = new Map<string, number>()

  constructor(partitions: number) {
    this.#partitions = partitions
  }

  acknowledge(events: ReadonlyArray<Event>): void {
    this.#acknowledged.push(...events)
  }

  get acknowledged(): number {
    return this.#acknowledged.length
  }

  /** Hears what the database did. */
  readonly hear = (happening: Happening): void => {
    switch (happening.what) {
      case "claimed":
        this.#owners.set(`${happening.group}/${happening.partition}`, happening.epoch)
        return
      case "live fenced":
        for (const key of this.#owners.keys()) if (key.startsWith(`${LIVE_GROUP}/`)) this.#owners.delete(key)
        return
      case "ended":
        for (const books of [this.#owners, this.#positions]) {
          for (const key of books.keys()) if (key.startsWith(`${happening.group}/`)) books.delete(key)
        }
        return
      case "emptied":
        this.#owners.clear()
        this.#positions.clear()
        return
      case "committed": {
        this.commits++
        const { group, partition, epoch, expected, next } = happening.step
        const key = `${group}/${partition}`
        const before = this.#positions.get(key) ?? 0
        if (this.#owners.get(key) !== epoch)
          this.violations.push(`a step of ${key} was committed under epoch ${epoch}, which is not its owner's`)
        if ((expected?.sequence ?? 0) !== before)
          this.violations.push(`a step of ${key} from ${expected?.sequence ?? 0} was committed at ${before}`)
        if (next.position.sequence <= before)
          this.violations.push(`the checkpoint of ${key} went from ${before} to ${next.position.sequence}`)
        this.#positions.set(key, next.position.sequence)
      }
    }
  }

  /** Compares the tables with the oracle, at the place in the log where they stand. */
  checkCells(tables: Tables, records: ReadonlyArray<StoredRecord>): void {
    if (tables.settings === null) return
    this.comparisons++
    const input: Array<OracleInput> = []
    for (let partition = 0; partition < this.#partitions; partition++) {
      const checkpoint = tables.rowOf(LIVE_GROUP, partition)?.checkpoint ?? null
      const end = checkpoint?.position.sequence ?? 0
      const before = input.length
      let logTime = 0
      for (const record of once(records)) {
        if (record.partition !== partition || record.sequence > end) continue
        const batch = batchOf(record)
        logTime = Math.max(logTime, batch.origin.loggedAt)
        for (const event of batch.events()) input.push({ event, partition, loggedAt: logTime })
      }
      const { projected = 0, duplicates = 0 } = checkpoint?.counts ?? {}
      const accepted = input.length - before
      if (accepted !== projected + duplicates) {
        this.violations.push(
          `partition ${partition}: ${accepted} accepted, but ${projected} projected and ${duplicates} duplicates`,
        )
      }
    }
    const settings = tables.settings
    const judge = (definitions: ReadonlyArray<MetricDefinition>) => oracle(input, settings, definitions)
    const built = tables.measures.filter(({ group }) => group === LIVE_GROUP)
    const live = built.filter(({ state }) => state === "live").map(({ definition }) => definition)
    const expected = judge(live)
    const counted = tables.copy()
    counted.countEverybody(LIVE_GROUP)
    for (const { id, definition, state } of built) {
      if (state === "dropped") continue
      const { cells } = live.some((it) => isSame(it, definition)) ? expected : judge([definition])
      this.#compare(definition.name, cellsIn(counted, id), texts(cells.get(definition.name)!))
    }
    const counts = totals(tables)
    if (counts.duplicates !== expected.duplicates) {
      this.violations.push(`${counts.duplicates} duplicates instead of ${expected.duplicates}`)
    }
    if (counts.conflicts !== expected.conflicts) {
      this.violations.push(`${counts.conflicts} conflicts instead of ${expected.conflicts}`)
    }
    const intake = [...(tables.cells.get(INTAKE)?.values() ?? [])]
    const accepted = intake
      .filter(({ stat }) => stat === "accepted")
      .reduce((sum, { amount }) => sum + amount.digits, 0n)
    if (accepted !== BigInt(counts.projected)) {
      this.violations.push(`the intake's cells say ${accepted} accepted, the checkpoints ${counts.projected} projected`)
    }
    if (tables.failures.length > 0)
      this.violations.push(`an event was not folded: ${JSON.stringify(tables.failures[0])}`)
  }

  /** What holds when everything has been projected that is in the log. */
  checkQuiet(tables: Tables, records: ReadonlyArray<StoredRecord>): void {
    this.checkAcknowledged(records)
    const uncounted = tables.measures.filter(({ id }) => tables.counting.has(id))
    if (uncounted.length > 0) this.violations.push(`nobody has counted all persons of ${uncounted[0]!.definition.name}`)
    const { settings, metrics } = agreedIn(records)
    if (tables.settings === null || !sameSettings(tables.settings, settings)) {
      this.violations.push("the tables stand under other settings than the log's")
    }
    if (!tables.whole) this.violations.push("the tables are not marked as whole")
    const names = (of: ReadonlyArray<MetricDefinition>) =>
      Array.from(new Set(of.map(({ name, version }) => `${name} ${version}`)))
        .sort()
        .join()
    const builtin = Object.values(BUILTIN_METRICS)
    const agreedTo = (which: (metric: AgreedMetric, version: number) => boolean) =>
      names([...builtin, ...metrics.flatMap((metric) => metric.all.filter(({ version }) => which(metric, version)))])
    const rows = tables.measures.filter(({ state }) => state !== "dropped")
    const live = names(rows.filter(({ state }) => state === "live").map(({ definition }) => definition))
    const agreed = agreedTo((metric, version) => metric.live === version)
    if (live !== agreed) this.violations.push(`live are ${live}, not ${agreed}`)
    const held = names(rows.map(({ definition }) => definition))
    const kept = agreedTo((metric, version) => metric.live !== null && metric.stay.has(version))
    if (held !== kept) this.violations.push(`there are ${held}, not ${kept}`)
    if (tables.measures.some(({ state }) => state === "building")) this.violations.push("a metric is still being built")
    for (let partition = 0; partition < this.#partitions; partition++) {
      const end = records.filter((record) => record.partition === partition).at(-1)?.sequence ?? 0
      const stands = tables.rowOf(LIVE_GROUP, partition)?.checkpoint?.position.sequence ?? 0
      if (stands !== end) this.violations.push(`partition ${partition} stands at ${stands} of ${end}`)
    }
  }

  /** Every acknowledged event is in the log, in its partition, as it was. */
  checkAcknowledged(records: ReadonlyArray<StoredRecord>): void {
    const stored = new Set<string>()
    for (const record of once(records)) {
      if (record.partition === CONTROL_PARTITION) continue
      for (const event of batchOf(record).events()) stored.add(`${record.partition} ${JSON.stringify(event)}`)
    }
    for (const event of this.#acknowledged) {
      const partition = partitionOf(attributedTo(event) ?? event.id, this.#partitions)
      if (!stored.has(`${partition} ${JSON.stringify(event)}`)) {
        this.violations.push(`the acknowledged event ${event.id} is not in the log`)
        return
      }
    }
  }

  #compare(metric: string, found: ReadonlyMap<string, string>, expected: ReadonlyMap<string, string>): void {
    for (const cell of new Set([...found.keys(), ...expected.keys()])) {
      if (found.get(cell) !== expected.get(cell)) {
        this.violations.push(
          `${metric} ${cell}: ${found.get(cell) ?? "none"}, but the oracle says ${expected.get(cell) ?? "none"}`,
        )
        return
      }
    }
  }
}

const isSame = (a: MetricDefinition, b: MetricDefinition): boolean => a.name === b.name && a.version === b.version

const cellsIn = (tables: Tables, measure: number): ReadonlyMap<string, string> =>
  new Map(
    Array.from(tables.cells.get(measure)?.values() ?? [], ({ day, item, stat, amount }) => [
      `${formatDay(day)}|${item}|${stat}`,
      formatDecimal(amount),
    ]),
  )

const texts = (cells: ReadonlyMap<string, number | string>): ReadonlyMap<string, string> =>
  new Map(Array.from(cells, ([key, amount]) => [key, formatDecimal(parseDecimal(String(amount)))]))

const totals = (tables: Tables) => {
  const sums = { projected: 0, duplicates: 0, conflicts: 0 }
  for (const { group, checkpoint } of tables.checkpoints) {
    if (group !== LIVE_GROUP || checkpoint === null) continue
    sums.projected += checkpoint.counts.projected
    sums.duplicates += checkpoint.counts.duplicates
    sums.conflicts += checkpoint.counts.conflicts
  }
  return sums
}

/** What the control facts say of one metric, in the order in which they say it. */
interface AgreedMetric {
  readonly all: Array<MetricDefinition>
  /** Versions that are not given up, the live one among them. */
  stay: Set<number>
  /** Of those, which were live at some time. */
  seen?: Set<number>
  live: number | null
}

/** Bodies of control facts about metrics, as they are written today. */
interface WrittenBody {
  readonly definition: MetricDefinition
  readonly promote: string
  readonly metric?: string
  readonly version: number
}

/** The last settings, and which versions of metrics there are to be. */
const agreedIn = (records: ReadonlyArray<StoredRecord>): Agreed => {
  let settings = DEFAULT_SETTINGS
  const metrics = new Map<string, AgreedMetric>()
  for (const record of once(records)) {
    if (record.partition !== CONTROL_PARTITION) continue
    for (const { name, body } of batchOf(record).events()) {
      if (name === "settings_changed") {
        settings = body as unknown as Settings
        continue
      }
      const { definition, promote, metric, version } = body as unknown as WrittenBody
      const agreed = metrics.get(metric ?? definition.name) ?? { all: [], stay: new Set<number>(), live: null }
      metrics.set(metric ?? definition.name, agreed)
      const current = agreed.live
      if (name === "metric_applied") {
        if (agreed.all.some((it) => it.version >= definition.version)) continue
        agreed.all.push(definition)
        if (current === null || promote === "when-built") {
          agreed.live = definition.version
          agreed.stay = new Set([definition.version])
          agreed.seen = new Set([definition.version])
        } else {
          agreed.stay = new Set([...agreed.stay].filter((it) => agreed.seen!.has(it)).concat(definition.version))
        }
      } else if (name === "metric_retired") {
        // Whoever retires a metric means the versions that they know.
        if (agreed.all.some((it) => it.version > version)) continue
        agreed.live = null
        agreed.stay = new Set()
      } else if (name === "metric_dropped") {
        if (version !== current) agreed.stay.delete(version)
      } else if (current !== null && agreed.stay.has(version)) {
        agreed.live = version
        agreed.seen!.add(version)
      }
    }
  }
  return { settings, metrics: [...metrics.values()] }
}

/** All that the tables hold, as text. */
export const dump = (tables: Tables): string =>
  JSON.stringify([
    tables.settings,
    tables.measures,
    tables.checkpoints.map(({ group, partition, checkpoint }) => [
      group,
      partition,
      checkpoint?.position.sequence,
      checkpoint?.counts,
    ]),
    [...tables.identities.values()].sort((a, b) => a.key - b.key),
    Array.from(tables.cells, ([measure, cells]) => [
      measure,
      Array.from(cells, ([key, { amount }]) => [key, formatDecimal(amount)]).sort(),
    ]),
  ])
