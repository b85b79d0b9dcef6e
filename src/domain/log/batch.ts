import { hash } from "node:crypto"
import { Result } from "effect"
import { Dictionary } from "../Dictionary.ts"
import { EVENT_KINDS, EVENT_WARNINGS, type Event, type EventKind, type EventWarning } from "../event/Event.ts"
import type { Json, JsonObject } from "../event/json.ts"
import { entryOf, numberOf } from "../event/numbered.ts"
import { CorruptBatch, UnknownBatchVersion } from "./errors.ts"

/**
 * The batch: one log record that packs many events in columns (docs/reference/batch-format.md).
 *
 *     {"v":1,"sum":"<32 hex>",<header fields and hot columns>}\n
 *     <body of event 0 as JSON>\n
 *     <body of event 1 as JSON>\n …
 *
 * The checksum is the first 128 bits of SHA-256 over every byte after its closing `",`. Columns are small integers
 * into dictionaries of strings, times are differences; a column that is the same number for all events is that number
 * alone. Bodies stay text until somebody asks.
 *
 * A storage contract: what this file writes must decode for ever. A change of shape is a new version number, a decoder
 * beside those in `DECODERS`, and a golden file (docs/explanation/evolution.md).
 */
const VERSION = 1

const PREFIX = `{"v":${VERSION},"sum":"`
const SUM_LENGTH = 32
const CHECKED_FROM = PREFIX.length + SUM_LENGTH + 2

/** Most events a batch holds: their place in it must fit into 12 bits of the event key. */
export const BATCH_EVENTS_MAX = 4096

/** Who wrote a batch, and where it stands among the writer's batches in this partition. */
export interface BatchOrigin {
  /** Unique to one writing process. */
  readonly writer: string
  /** 1, 2, 3, … without a hole, per writer and partition. */
  readonly number: number
  /** Checksum of the writer's batch before this one in the partition; `""` for its first. */
  readonly previous: string
  readonly partition: number
  /** When it was packed, by the writer's clock, in ms: the log time that the dedupe horizon is measured in. */
  readonly loggedAt: number
}

/** A batch ready to append. */
export interface PackedBatch {
  /** Its id, unique in the log: writer, partition and number. */
  readonly id: string
  /** Proof of its contents; the writer's next batch names it as `previous`. */
  readonly sum: string
  readonly origin: BatchOrigin
  readonly count: number
  readonly bytes: Uint8Array
}

/** The id of a batch. */
export const batchIdOf = (origin: Pick<BatchOrigin, "writer" | "partition" | "number">): string =>
  `${origin.writer}.${origin.partition}.${origin.number}`

type Column = number | ReadonlyArray<number>

/**
 * An instant as the difference from the event's time; `null` where there is none. A clock may be so absurd that the
 * difference is no exact number; then it is the instant itself, as text.
 */
type StoredInstant = number | string | null

type InstantColumn = StoredInstant | ReadonlyArray<StoredInstant>

interface Header {
  readonly v: number
  readonly sum: string
  readonly writer: string
  readonly number: number
  readonly previous: string
  readonly partition: number
  readonly loggedAt: number
  readonly count: number
  readonly ids: ReadonlyArray<string>
  readonly kind: Column
  readonly names: ReadonlyArray<string>
  readonly name: Column
  readonly users: ReadonlyArray<string>
  readonly user: Column
  readonly anonymous: ReadonlyArray<string>
  readonly anonym: Column
  readonly sessions: ReadonlyArray<string>
  readonly session: Column
  /** Time of the first event, then differences from each event to the next. */
  readonly time: ReadonlyArray<number>
  readonly timestamp: InstantColumn
  readonly sentAt: InstantColumn
  readonly receivedAt: InstantColumn
  /** Place of the event → its warnings, as numbers into EVENT_WARNINGS. */
  readonly warnings: Readonly<Record<string, ReadonlyArray<number>>>
}

/** The keys of {@link Header}, all of them. */
const KNOWN: Readonly<Record<keyof Header, true>> = {
  v: true,
  sum: true,
  writer: true,
  number: true,
  previous: true,
  partition: true,
  loggedAt: true,
  count: true,
  ids: true,
  kind: true,
  names: true,
  name: true,
  users: true,
  user: true,
  anonymous: true,
  anonym: true,
  sessions: true,
  session: true,
  time: true,
  timestamp: true,
  sentAt: true,
  receivedAt: true,
  warnings: true,
}

/** A column that this version does not know: a list has an entry per event, anything else is the entry of all. */
type NewerColumn = readonly [name: string, entries: Json]

/** Packs 1…{@link BATCH_EVENTS_MAX} events into one record. */
export const encodeBatch = (origin: BatchOrigin, events: ReadonlyArray<Event>): PackedBatch => {
  if (events.length === 0 || events.length > BATCH_EVENTS_MAX) {
    throw new RangeError(`a batch holds 1…${BATCH_EVENTS_MAX} events, not ${events.length}`)
  }
  const names = new Dictionary()
  const users = new Dictionary()
  const anonymous = new Dictionary()
  const sessions = new Dictionary()
  const warnings: Record<string, ReadonlyArray<number>> = {}
  let bodies = ""
  let before = 0
  const time: Array<number> = []
  for (let i = 0; i < events.length; i++) {
    const event = events[i]!
    time.push(event.time - before)
    before = event.time
    if (event.warnings.length > 0) warnings[i] = event.warnings.map((warning) => numberOf(EVENT_WARNINGS, warning))
    bodies += `${JSON.stringify(event.body)}\n`
  }
  const columns: Omit<Header, "v" | "sum"> = {
    ...origin,
    count: events.length,
    ids: events.map((event) => event.id),
    kind: column(events.map((event) => numberOf(EVENT_KINDS, event.kind))),
    name: column(events.map((event) => names.add(event.name))),
    names: names.values,
    user: column(events.map((event) => numberIn(users, event.userId))),
    users: users.values,
    anonym: column(events.map((event) => numberIn(anonymous, event.anonymousId))),
    anonymous: anonymous.values,
    session: column(events.map((event) => numberIn(sessions, event.sessionId))),
    sessions: sessions.values,
    time,
    timestamp: column(events.map((event) => difference(event.timestamp, event.time))),
    sentAt: column(events.map((event) => difference(event.sentAt, event.time))),
    receivedAt: column(events.map((event) => difference(event.receivedAt, event.time))),
    warnings,
  }
  const all = { ...columns, ...Object.fromEntries(newerColumns(events)) }
  const checked = Buffer.from(`${JSON.stringify(all).slice(1)}\n${bodies}`)
  const sum = checksum(checked)
  const bytes = Buffer.concat([Buffer.from(`${PREFIX}${sum}",`), checked])
  return { id: batchIdOf(origin), sum, origin, count: events.length, bytes }
}

/**
 * Opens a record of any version. Checks the version, then every byte against the checksum, so that damage is an error and
 * never a wrong event; bodies are parsed only when asked for.
 */
export const decodeBatch = (bytes: Uint8Array): Result.Result<Batch, CorruptBatch | UnknownBatchVersion> => {
  const start = /^\{"v":(\d{1,9}),/.exec(bufferOf(bytes).toString("latin1", 0, 16))
  if (start === null) return corrupt("it does not begin with a version number", bytes.byteLength)
  const version = Number(start[1])
  const decode = DECODERS.get(version)
  if (decode === undefined) return Result.fail(new UnknownBatchVersion({ found: version, known: VERSION }))
  return decode(bytes)
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const decodeVersion1 = (bytes: Uint8Array): Result.Result<Batch, CorruptBatch> => {
  const buffer = bufferOf(bytes)
  const sum = buffer.toString("latin1", PREFIX.length, PREFIX.length + SUM_LENGTH)
  // The checksum does not cover what stands before it.
  if (buffer.toString("latin1", 0, CHECKED_FROM) !== `${PREFIX}${sum}",`) {
    return corrupt("it does not begin as a batch does", buffer.length)
  }
  if (sum !== checksum(buffer.subarray(CHECKED_FROM))) {
    return corrupt("its checksum does not match its bytes", buffer.length)
  }
  const headerEnd = buffer.indexOf(10)
  // What matches the checksum was written by encodeBatch, so this is a guard against our own mistakes.
  try {
    const header = JSON.parse(buffer.toString("utf8", 0, headerEnd)) as Header
    return Result.succeed(new Batch(header, sum, buffer.subarray(headerEnd + 1)))
  } catch (cause) {
    return corrupt(`its header can't be read (${String(cause)})`, buffer.length)
  }
}

/** By version: every version ever written, for ever. The greatest is the one that is written. */
export const DECODERS: ReadonlyMap<number, (bytes: Uint8Array) => Result.Result<Batch, CorruptBatch>> = new Map([
  [VERSION, decodeVersion1],
])

/** An opened batch: columns by the event's place in it (0…`count`−1). */
export class Batch {
  readonly id: string
  readonly sum: string
  readonly origin: BatchOrigin
  readonly count: number
  readonly ids: ReadonlyArray<string>
  /** Dictionary of the event names; `nameIndex` points into it. */
  readonly names: ReadonlyArray<string>
  readonly users: ReadonlyArray<string>
  readonly anonymous: ReadonlyArray<string>
  readonly sessions: ReadonlyArray<string>
  /** Event times, ms. */
  readonly times: Float64Array
  readonly #header: Header
  readonly #newer: ReadonlyArray<NewerColumn>
  readonly #bodyBytes: Uint8Array
  #bodyLines: ReadonlyArray<string> | undefined

  constructor(header: Header, sum: string, bodyBytes: Uint8Array) {
    const { writer, number, previous, partition, loggedAt } = header
    this.origin = { writer, number, previous, partition, loggedAt }
    this.id = batchIdOf(this.origin)
    this.sum = sum
    this.count = header.count
    this.ids = header.ids
    this.names = header.names
    this.users = header.users
    this.anonymous = header.anonymous
    this.sessions = header.sessions
    this.times = new Float64Array(header.count)
    let time = 0
    for (let i = 0; i < header.count; i++) {
      time += header.time[i]!
      this.times[i] = time
    }
    this.#header = header
    this.#newer = Object.entries(header as unknown as JsonObject).filter(([name]) => !Object.hasOwn(KNOWN, name))
    this.#bodyBytes = bodyBytes
  }

  kind(i: number): EventKind {
    return entryOf(EVENT_KINDS, at(this.#header.kind, i))
  }

  nameIndex(i: number): number {
    return at(this.#header.name, i)
  }

  /** Place of the user id in `users`, or −1. */
  userIndex(i: number): number {
    return at(this.#header.user, i)
  }

  /** Place of the anonymous id in `anonymous`, or −1. */
  anonymousIndex(i: number): number {
    return at(this.#header.anonym, i)
  }

  /** Place of the session id in `sessions`, or −1. */
  sessionIndex(i: number): number {
    return at(this.#header.session, i)
  }

  receivedAt(i: number): number | null {
    return instant(this.#header.receivedAt, i, this.times[i]!)
  }

  warnings(i: number): ReadonlyArray<EventWarning> {
    return this.#header.warnings[i]?.map((warning) => entryOf(EVENT_WARNINGS, warning)) ?? []
  }

  /** The cold part of an event as the JSON text that was written. */
  bodyText(i: number): string {
    this.#bodyLines ??= bufferOf(this.#bodyBytes).toString("utf8").split("\n")
    return this.#bodyLines[i]!
  }

  /** The cold part of an event, parsed anew at every call. */
  body(i: number): JsonObject {
    return JSON.parse(this.bodyText(i)) as JsonObject
  }

  event(i: number): Event {
    const time = this.times[i]!
    return {
      id: this.ids[i]!,
      kind: this.kind(i),
      name: this.names[this.nameIndex(i)]!,
      userId: this.users[this.userIndex(i)] ?? null,
      anonymousId: this.anonymous[this.anonymousIndex(i)] ?? null,
      sessionId: this.sessions[this.sessionIndex(i)] ?? null,
      time,
      timestamp: instant(this.#header.timestamp, i, time),
      sentAt: instant(this.#header.sentAt, i, time),
      receivedAt: this.receivedAt(i),
      warnings: this.warnings(i),
      body: this.body(i),
      ...(this.#newer.length === 0 ? {} : { newer: this.#newerOf(i) }),
    }
  }

  #newerOf(i: number): JsonObject {
    return Object.fromEntries(
      this.#newer.map(([name, entries]) => [
        name,
        Array.isArray(entries) ? (entries as ReadonlyArray<Json>)[i]! : entries,
      ]),
    )
  }

  /** The same batch as one that brings nothing. */
  withoutEvents(): Batch {
    return new Batch({ ...this.#header, count: 0, ids: [] }, this.sum, this.#bodyBytes)
  }

  events(): ReadonlyArray<Event> {
    return Array.from({ length: this.count }, (_, i) => this.event(i))
  }
}

/** The number of a text, or −1 for none. */
const numberIn = (dictionary: Dictionary, value: string | null): number => (value === null ? -1 : dictionary.add(value))

const column = <A extends StoredInstant>(values: ReadonlyArray<A>): A | ReadonlyArray<A> => {
  const first = values[0]!
  return values.every((value) => value === first) ? first : values
}

/** What events brought along of a newer version's columns, as columns again; `null` for those that have none. */
const newerColumns = (events: ReadonlyArray<Event>): ReadonlyArray<NewerColumn> => {
  const names = new Set(events.flatMap(({ newer }) => (newer === undefined ? [] : Object.keys(newer))))
  return Array.from(names)
    .filter((name) => !Object.hasOwn(KNOWN, name))
    .map((name) => [
      name,
      events.map(({ newer }) => (newer !== undefined && Object.hasOwn(newer, name) ? newer[name]! : null)),
    ])
}

const at = (values: Column, i: number): number => (typeof values === "number" ? values : values[i]!)

const difference = (value: number | null, time: number): StoredInstant =>
  value === null ? null : Number.isSafeInteger(value - time) ? value - time : String(value)

const instant = (values: InstantColumn, i: number, time: number): number | null => {
  const value = values === null || typeof values !== "object" ? values : values[i]!
  return typeof value === "number" ? value + time : value === null ? null : Number(value)
}

const checksum = (bytes: Uint8Array): string => hash("sha256", bytes, "hex").slice(0, SUM_LENGTH)

const corrupt = (problem: string, size: number): Result.Result<never, CorruptBatch> =>
  Result.fail(new CorruptBatch({ problem, size }))
