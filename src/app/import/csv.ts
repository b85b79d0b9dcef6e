import { Result } from "effect"
import { EVENT_BYTES_MAX } from "../../domain/event/size.ts"
import type { Json, JsonObject } from "../../domain/event/json.ts"
import type { ColumnKey } from "./columnKey.ts"
import { type Columns, resolveColumns } from "./columnMap.ts"
import { CsvRecord } from "./csvRecord.ts"
import type { FileDoor } from "./door.ts"
import { ColumnNeeded, HeaderUnreadable } from "./errors.ts"
import { identityKindOf } from "./identityKind.ts"
import type { LineReader } from "./lines.ts"
import { RAW_LENGTH_MAX } from "./row.ts"

/**
 * Reads CSV records, whose columns the first record names, as events. Throws an `ImportError` when the header won't do.
 * Lines that are blank outside a quoted field are no records.
 */
export class CsvReader implements LineReader {
  readonly #door: FileDoor
  /** How messages call the file. */
  readonly #path: string
  readonly #record: CsvRecord
  #columns: Columns | null = null
  /** The record at hand: its first line, its text (of one too large only the beginning), its size. */
  #firstLine = 0
  #text = ""
  #bytes = 0

  constructor(door: FileDoor, path: string) {
    this.#door = door
    this.#path = path
    this.#record = new CsvRecord(door.context.delimiter)
    if (door.context.header !== null) this.#setHeader(door.context.header)
  }

  line(text: string, number: number, bytes: number, terminated: boolean): void {
    if (this.#record.isOpen) {
      this.#bytes += bytes + 1
      if (this.#bytes <= EVENT_BYTES_MAX) this.#text += `\n${text}`
    } else {
      if (text.trim() === "" && !text.includes(this.#door.context.delimiter)) return
      this.#firstLine = number
      this.#text = text
      this.#bytes = bytes
    }
    const fields = this.#record.feed(text)
    if (this.#bytes > EVENT_BYTES_MAX) {
      this.#record.forget()
      this.#text = this.#text.slice(0, RAW_LENGTH_MAX)
      if (fields !== undefined) this.#endLarge()
    } else if (fields !== undefined) {
      this.#end(fields, terminated)
    }
  }

  longLine(beginning: string, number: number, quotes: number, bytes: number): void {
    if (!this.#record.isOpen) {
      this.#firstLine = number
      this.#text = beginning
      this.#bytes = 0
    }
    this.#bytes += bytes
    this.#record.skip(quotes)
    if (!this.#record.isOpen) this.#endLarge()
  }

  finish(): void {
    if (!this.#record.isOpen) return
    const problem = `the quote that opens in line ${this.#firstLine} is not closed before the file ends`
    if (this.#columns === null) throw new HeaderUnreadable({ path: this.#path, problem })
    this.#door.reject(
      "line-incomplete",
      `The record is not complete: ${problem}, so all that follows belongs to it.`,
      this.#firstLine,
      this.#text,
    )
  }

  #end(fields: ReadonlyArray<string>, terminated: boolean): void {
    const columns = this.#columns
    if (columns === null) {
      this.#setHeader(fields.map((name) => name.trim()))
    } else if (fields.length === columns.count) {
      this.#door.admit(this.#eventOf(fields, columns), this.#firstLine, this.#text)
    } else if (fields.length < columns.count && !terminated) {
      const detail = "The file ends in the middle of this line."
      this.#door.reject("line-incomplete", detail, this.#firstLine, this.#text)
    } else {
      const detail = `The record has ${fields.length} fields, and the header names ${columns.count} columns.`
      this.#door.reject("columns-mismatch", detail, this.#firstLine, this.#text)
    }
  }

  #endLarge(): void {
    if (this.#columns === null) {
      throw new HeaderUnreadable({
        path: this.#path,
        problem: `its first line is over ${EVENT_BYTES_MAX} bytes long`,
      })
    }
    this.#door.rejectTooLarge(this.#bytes, this.#firstLine, this.#text)
  }

  #setHeader(header: ReadonlyArray<string>): void {
    const { map, eventName } = this.#door.context
    this.#columns = Result.getOrThrowWith(resolveColumns(this.#path, header, map, eventName), (error) => error)
    this.#door.setHeader(header)
  }

  /** The JSON that a client would have sent for a record. An empty field is an absent one. */
  #eventOf(fields: ReadonlyArray<string>, columns: Columns): JsonObject {
    const { at } = columns
    const event: Record<string, Json> = {}
    const name = (at.event < 0 ? "" : fields[at.event]!) || (this.#door.context.eventName ?? "")
    const kind = at.kind < 0 ? identityKindOf(name) : fields[at.kind]!
    if (kind !== undefined && kind !== "") event["type"] = kind
    if (name !== "") event["event"] = name
    if (at.time >= 0) {
      // Few digits are no time (a year? a date?), but zero can only be the epoch.
      const time = fields[at.time]!
      if (time !== "") event["timestamp"] = time === "0" ? 0 : time
    } else if (kind !== "alias" && kind !== "unalias") {
      throw new ColumnNeeded({
        path: this.#path,
        key: "time",
        columns: this.#door.context.header ?? [],
      })
    }
    for (const [key, field] of FIELD_OF_KEY) {
      if (at[key] >= 0 && fields[at[key]] !== "") event[field] = fields[at[key]]!
    }

    const properties: Record<string, Json> = {}
    for (const { index, name } of columns.properties) {
      const text = fields[index]!
      if (text === "") continue
      // Assigning to this name would set the prototype instead.
      if (name === "__proto__") Object.defineProperty(properties, name, { ...OWN_DATA, value: valueOf(text) })
      else properties[name] = valueOf(text)
    }
    event["properties"] = properties
    return event
  }
}

const OWN_DATA = { configurable: true, enumerable: true, writable: true }

const FIELD_OF_KEY: ReadonlyArray<readonly [ColumnKey, string]> = [
  ["user", "userId"],
  ["anonymous", "anonymousId"],
  ["id", "id"],
  ["session", "sessionId"],
  ["previous", "previousId"],
  ["group", "groupId"],
]

const ZERO = 0x30
const NINE = 0x39
const MINUS = 0x2d

/**
 * A field's text as JSON: a number where the text is exactly how JavaScript spells it (so `007`, `1.50` and a long
 * account number stay text, and nothing is lost), `true` and `false`, else the text.
 */
const valueOf = (text: string): Json => {
  const first = text.charCodeAt(0)
  if ((first >= ZERO && first <= NINE) || first === MINUS) {
    const number = Number(text)
    return Number.isFinite(number) && String(number) === text ? number : text
  }
  return text === "true" ? true : text === "false" ? false : text
}
