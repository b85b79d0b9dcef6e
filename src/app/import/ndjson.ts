import { isJsonObject, type Json, jsonAt, type JsonObject } from "../../domain/event/json.ts"
import type { ColumnKey, ColumnMap } from "./columnKey.ts"
import type { FileDoor } from "./door.ts"
import { identityKindOf } from "./identityKind.ts"
import type { LineReader } from "./lines.ts"

/**
 * Reads one JSON event a line. Tidemark's own JSON and the Segment shape need no telling apart; blank lines are no
 * lines.
 */
export class NdjsonReader implements LineReader {
  readonly #door: FileDoor
  readonly #fields: ReadonlyArray<MappedField>
  readonly #namesEvents: boolean

  constructor(door: FileDoor) {
    this.#door = door
    this.#fields = mappedFields(door.context.map)
    this.#namesEvents = this.#fields.length > 0 || door.context.eventName !== null
  }

  line(text: string, number: number, _bytes: number, terminated: boolean): void {
    if (text.trim() === "") return
    let json: Json
    try {
      json = JSON.parse(text) as Json
    } catch (cause) {
      if (terminated) this.#door.reject("not-json", `The line is not JSON${placeOf(cause)}.`, number, text)
      else this.#door.reject("line-incomplete", "The file ends in the middle of this line.", number, text)
      return
    }
    const event = this.#namesEvents && isJsonObject(json) ? this.#rename(json) : json
    this.#door.admit(event, number, text)
  }

  longLine(beginning: string, number: number, _quotes: number, bytes: number): void {
    this.#door.rejectTooLarge(bytes, number, beginning)
  }

  finish(): void {}

  /** The event with mapped fields under their standard names, and with the file's event name if it has none. */
  #rename(event: JsonObject): JsonObject {
    const renamed: Record<string, Json> = { ...event }
    const values = this.#fields.map(({ column, path }) =>
      Object.hasOwn(event, column) ? event[column] : jsonAt(event, path),
    )
    for (const { column, replaces } of this.#fields) {
      // A top-level field moves to its standard name; one inside `properties` stays a property too.
      delete renamed[column]
      for (const name of replaces) delete renamed[name]
    }
    this.#fields.forEach(({ replaces }, index) => {
      const value = values[index]
      if (value !== undefined) renamed[replaces[0]] = value
    })

    const { eventName, map } = this.#door.context
    if (isAbsent(renamed["type"])) {
      const unnamed = isAbsent(renamed["event"])
      if (unnamed && eventName !== null) renamed["event"] = eventName
      const kind = unnamed || map.event !== undefined ? identityKindOf(renamed["event"]) : undefined
      if (kind !== undefined) renamed["type"] = kind
    }
    return renamed
  }
}

const isAbsent = (value: Json | undefined): boolean => value === undefined || value === null || value === ""

interface MappedField {
  readonly column: string
  readonly path: ReadonlyArray<string>
  /** The field that `admit` reads, and others that it would read in its place. */
  readonly replaces: readonly [string, ...Array<string>]
}

const STANDARD_FIELDS: { readonly [key in ColumnKey]: MappedField["replaces"] } = {
  time: ["timestamp", "originalTimestamp"],
  user: ["userId"],
  anonymous: ["anonymousId"],
  event: ["event"],
  id: ["id", "messageId"],
  session: ["sessionId"],
  previous: ["previousId"],
  group: ["groupId"],
  kind: ["type"],
}

const mappedFields = (map: ColumnMap): ReadonlyArray<MappedField> =>
  (Object.entries(map) as Array<[ColumnKey, string]>).map(([key, column]) => ({
    column,
    path: column.split("."),
    replaces: STANDARD_FIELDS[key],
  }))

/** Where a parser's complaint points to; the rest of it quotes the line, which must not leave quarantine. */
const placeOf = (cause: unknown): string => {
  const match = cause instanceof Error ? /at position \d+ \(line \d+ column (\d+)\)$/.exec(cause.message) : null
  return match === null ? "" : `: it stops being so at column ${match[1]}`
}
