import { Effect, Option, Result, Stream } from "effect"
import { decodeBatch, type PackedBatch } from "../../src/domain/log/batch.ts"
import { LogDamaged, LogUnavailable, missingRecords } from "../../src/domain/log/errors.ts"
import {
  CONTROL_PARTITION,
  damageAt,
  EventLog,
  type LogRecord,
  type PartitionStatus,
  type Place,
  sequenceOf,
} from "../../src/domain/log/EventLog.ts"
import type { Position } from "../../src/domain/log/position.ts"
import type { CallFault, CallFaults } from "./faults.ts"
import type { Flaws } from "./flaws.ts"
import type { Process, World } from "./World.ts"

/** A record on the disk of the simulated log. */
export interface StoredRecord {
  readonly partition: number
  readonly sequence: number
  readonly batchId: string
  bytes: Uint8Array
}

export interface LogOptions {
  readonly partitions: number
  /**
   * Of many, all partitions share one numbering, as in a stream, and each has holes; control facts are in a stream of their
   * own. Of one, each partition is numbered by itself, as in a file.
   */
  readonly writers: "many" | "one"
}

/** Records read at once. */
const PAGE_RECORDS_MAX = 3

/** The disk of a simulated log, which outlives all processes; each process opens it by a port of its own. */
export class SimulatedLog {
  records: Array<StoredRecord> = []
  readonly options: LogOptions
  readonly #incarnation: string
  readonly #world: World
  readonly #faults: CallFaults
  readonly #flaws: Flaws
  /** Records below were removed at the front. */
  #begins = 1
  /** The last number given, by line; absent: that of the last record. */
  readonly #last = new Map<string, number>()

  constructor(world: World, faults: CallFaults, options: LogOptions, flaws: Flaws, incarnation = "sim") {
    this.#world = world
    this.#faults = faults
    this.#flaws = flaws
    this.options = options
    this.#incarnation = incarnation
  }

  /** Whether partitions share one numbering, which can be cut off at its front. */
  get shared(): boolean {
    return this.options.writers === "many"
  }

  /** The records that are numbered together with those of a partition. */
  line(partition: number): ReadonlyArray<StoredRecord> {
    if (!this.shared || partition === CONTROL_PARTITION) return this.of(partition)
    return this.records.filter((record) => record.partition !== CONTROL_PARTITION)
  }

  of(partition: number): ReadonlyArray<StoredRecord> {
    return this.records.filter((record) => record.partition === partition)
  }

  /** Removes records at the front, as retention does, which spares control facts. */
  purgeBefore(sequence: number): void {
    this.records = this.records.filter(
      (record) => record.partition === CONTROL_PARTITION || record.sequence >= sequence,
    )
    this.#begins = Math.max(this.#begins, sequence)
  }

  /** Puts an older copy back: the numbers after it are given again. */
  putBack(records: ReadonlyArray<StoredRecord>): void {
    this.records = [...records]
    this.#last.clear()
  }

  /** Records of one line are numbered together. */
  #nextSequence(partition: number): number {
    const line = this.shared && partition !== CONTROL_PARTITION ? "shared" : String(partition)
    const sequence = (this.#last.get(line) ?? this.line(partition).at(-1)?.sequence ?? 0) + 1
    this.#last.set(line, sequence)
    return sequence
  }

  /** Opens the log for one process. */
  open(process: Process): EventLog["Service"] {
    const { partitions, writers } = this.options
    const shared = this.shared
    const world = this.#world

    /** One call that may fail: asked for, done, answered, with whatever may happen between. */
    const call = <A>(
      name: string,
      attempted: string,
      possible: ReadonlyArray<CallFault>,
      run: (fault: CallFault | null) => A,
    ): Effect.Effect<A, LogUnavailable> =>
      Effect.gen({ self: this }, function* () {
        yield* world.gate(process, `log.${name}`)
        const fault = this.#faults.strike(process, `log.${name}`, possible)
        const failure = (reason: string) => new LogUnavailable({ attempted, reason, retryable: true })
        if (fault === "refused") return yield* failure("the log is away")
        const result = run(fault)
        if (fault === "lost-answer") return yield* failure("the answer got lost")
        if (fault === "slow-answer") yield* world.gate(process, `log.${name} answers`)
        return result
      })

    const positionOf = ({ partition, sequence, batchId }: StoredRecord): Position => ({
      incarnation: this.#incarnation,
      partition,
      sequence,
      batchId,
    })

    const store = (batch: PackedBatch, again = false): Position => {
      const { partition } = batch.origin
      const held = again ? undefined : this.records.find(({ batchId }) => batchId === batch.id)
      if (held !== undefined) return positionOf(held)
      const sequence = this.#nextSequence(partition)
      const record = { partition, sequence, batchId: batch.id, bytes: batch.bytes }
      if (!this.#flaws.forgetsAnAppend(batch.origin.number)) this.records.push(record)
      return positionOf(record)
    }

    const append = Effect.fnUntraced({ self: this }, function* (batches: ReadonlyArray<PackedBatch>) {
      const attempted = "append to the log"
      const failed = (reason: string) => new LogUnavailable({ attempted, reason, retryable: true })
      yield* world.gate(process, "log.append")
      const fault = this.#faults.strike(process, "log.append", [
        "refused",
        "prefix",
        "lost-answer",
        "repeated",
        ...(shared ? (["stored-again"] as const) : []),
        "slow-answer",
      ])
      if (fault === "refused") return yield* failed("the log is away")
      const stored = fault === "prefix" ? world.random.between(0, batches.length - 1) : batches.length
      const positions: Array<Position> = []
      for (const [place, batch] of batches.slice(0, stored).entries()) {
        // A stream takes one batch after another, and readers see it grow.
        if (shared && place > 0) yield* world.gate(process, "log.append goes on")
        positions.push(store(batch))
        if (fault !== "stored-again") continue
        if (world.random.chance(0.5)) positions[place] = store(batch, true)
        else {
          // One that the network kept back, of whatever writer.
          const late = world.random.oneOf(this.of(batch.origin.partition))
          this.records.push({ ...late, sequence: this.#nextSequence(late.partition) })
        }
      }
      if (fault === "prefix" || fault === "lost-answer") return yield* failed("the answer got lost")
      if (fault === "slow-answer") yield* world.gate(process, "log.append answers")
      return fault === "repeated" ? batches.map((batch) => store(batch)) : positions
    })

    const recordOf = (record: StoredRecord): LogRecord => ({ position: positionOf(record), bytes: record.bytes })

    const page = (partition: number, after: number, end: number) =>
      call("read", "read the log", ["broken-off", "slow-answer"], (fault) => {
        if (fault === "broken-off") return null
        const size = world.random.between(1, PAGE_RECORDS_MAX)
        const following = this.of(partition).filter(({ sequence }) => sequence > after && sequence <= end)
        return following.slice(0, size).map(recordOf)
      }).pipe(
        Effect.filterOrElse(
          (records) => records !== null,
          () => new LogUnavailable({ attempted: "read the log", reason: "the read broke off", retryable: true }),
        ),
      )

    const found = (partition: number, sequence: number): LogRecord | null => {
      const record = this.of(partition).find((record) => record.sequence === sequence)
      return record === undefined ? null : recordOf(record)
    }

    const proveAt = Effect.fnUntraced({ self: this }, function* (partition: number, place: Place) {
      if (typeof place === "number") return
      const sequence = sequenceOf(place)
      const record = found(partition, sequence)
      if (record === null && sequence < this.#begins) return
      const damage = damageAt(place, record)
      if (damage !== null) return yield* damage
    })

    const lastSequence = (partition: number): number => this.of(partition).at(-1)?.sequence ?? 0

    const next = (records: ReadonlyArray<LogRecord>) => Option.some(records[records.length - 1]!.position.sequence)

    return EventLog.of({
      incarnation: this.#incarnation,
      partitions,
      writers,
      append: (batches) => (batches.length === 0 ? Effect.succeed([]) : append(batches)),
      read: (partition, after) =>
        Stream.unwrap(
          Effect.map(
            Effect.tap(
              call("read", "read the log", ["refused"], () => lastSequence(partition)),
              () => proveAt(partition, after),
            ),
            (end) =>
              Stream.paginate(sequenceOf(after), (from) =>
                from >= end
                  ? Effect.succeed([[], Option.none()] as const)
                  : Effect.map(page(partition, from, end), (records) =>
                      records.length === 0 ? ([[], Option.none()] as const) : ([records, next(records)] as const),
                    ),
              ),
          ),
        ),
      follow: (partition, after) =>
        Stream.unwrap(
          Effect.as(
            proveAt(partition, after),
            Stream.paginate(sequenceOf(after), (from) =>
              Effect.andThen(
                world.gate(process, "log.follow", () => lastSequence(partition) > from),
                Effect.map(
                  page(partition, from, Number.MAX_SAFE_INTEGER),
                  (records) => [records, next(records)] as const,
                ),
              ),
            ),
          ),
        ),
      at: (partition, sequence) =>
        call("at", "read the log", ["refused", "slow-answer"], () => found(partition, sequence)),
      status: call("status", "read the log", ["refused", "slow-answer"], () => {
        const partitionsHeld = [...new Set(this.records.map(({ partition }) => partition))].sort((a, b) => a - b)
        return partitionsHeld.map((partition): PartitionStatus => {
          const records = this.of(partition)
          const events = records.reduce((sum, { bytes }) => sum + countOf(bytes), 0)
          return { partition, records: records.length, events, bytes: null, last: positionOf(records.at(-1)!) }
        })
      }),
      prove: Effect.flatMap(
        call("prove", "read the log", ["refused"], () => this.#hole()),
        (hole) => hole ?? Effect.void,
      ),
      begins: (partition) =>
        call("begins", "read the log", ["refused"], () => (partition === CONTROL_PARTITION ? 1 : this.#begins)),
      acceptEnd: Effect.void,
    })
  }

  /** The first hole in the numbers, which this log gives without any. */
  #hole(): LogDamaged | null {
    const lines = new Map(this.records.map(({ partition }) => [this.line(partition)[0], this.line(partition)]))
    for (const line of lines.values()) {
      const isCutOff = this.shared && line[0]!.partition !== CONTROL_PARTITION
      let before = isCutOff ? this.#begins - 1 : 0
      for (const { partition, sequence } of line) {
        const problem = missingRecords(before + 1, sequence - 1)
        if (sequence > before + 1) return new LogDamaged({ partition, sequence: before + 1, problem })
        before = sequence
      }
    }
    return null
  }
}

const countOf = (bytes: Uint8Array): number => {
  const batch = decodeBatch(bytes)
  return Result.isSuccess(batch) ? batch.success.count : 0
}
