import { Result } from "effect"
import { ColumnMapInvalid, ColumnNeeded, ColumnsDuplicated, ColumnsNotFound, type ImportError } from "./errors.ts"
import { COLUMN_KEYS, type ColumnKey, type ColumnMap } from "./columnKey.ts"
import { nearest } from "../../domain/nearest.ts"

/**
 * Names by which a CSV column is found when the map doesn't say. The first name of a list that the file has wins, in
 * any case of letters; the others become properties. A column that the map gives to one key is not taken for another.
 *
 * `name` is a weak sign (it may be a person's): it names the event only where no event name was given for the whole file.
 */
const DEFAULT_NAMES: { readonly [key in ColumnKey]: ReadonlyArray<string> } = {
  time: ["timestamp", "ts", "time", "date", "datetime", "occurred_at", "created_at"],
  user: ["user_id", "userId", "user"],
  anonymous: ["anonymous_id", "anonymousId", "device_id", "client_id", "visitor_id"],
  event: ["event", "event_name", "event_type"],
  id: ["event_id", "id", "message_id", "messageId"],
  session: ["session_id", "sessionId"],
  previous: ["previous_id", "previousId"],
  group: [],
  kind: [],
}

const WEAK_EVENT_NAMES = ["name"]

/** Reads `time=ts,user=uid`. `previousId` is another spelling of `previous`. */
export const parseColumnMap = (text: string): Result.Result<ColumnMap, ColumnMapInvalid> => {
  const map: { [key in ColumnKey]?: string } = {}
  for (const pair of text.split(",")) {
    if (pair.trim() === "") continue
    const at = pair.indexOf("=")
    const name = pair.slice(0, at).trim()
    const column = pair.slice(at + 1).trim()
    if (at < 0 || column === "") return invalid(pair, "a pair is not of the form KEY=COLUMN")
    const key = COLUMN_KEYS.find((key) => key === (name === "previousId" ? "previous" : name))
    if (key === undefined) {
      const alike = nearest(name, COLUMN_KEYS)
      return invalid(pair, `no such key${alike === null ? "" : ` (did you mean ${alike}?)`}`)
    }
    if (map[key] !== undefined) return invalid(pair, `${key} is given twice`)
    map[key] = column
  }
  return Result.succeed(map)
}

const invalid = (found: string, problem: string): Result.Result<never, ColumnMapInvalid> =>
  Result.fail(new ColumnMapInvalid({ found, problem }))

/** Where in a record everything stands. */
export interface Columns {
  /** Number of columns in the header. */
  readonly count: number
  /** Index of the column, -1 where there is none. */
  readonly at: { readonly [key in ColumnKey]: number }
  /** All columns that are none of the above. */
  readonly properties: ReadonlyArray<{ readonly index: number; readonly name: string }>
}

/** Whether a header looks like one: it has a column that the map names or that a default name fits. */
export const knowsColumn = (header: ReadonlyArray<string>, map: ColumnMap): boolean =>
  Object.values(map).some((column) => find(header, column) >= 0) ||
  COLUMN_KEYS.some((key) => DEFAULT_NAMES[key].some((name) => find(header, name) >= 0)) ||
  WEAK_EVENT_NAMES.some((name) => find(header, name) >= 0)

/**
 * Finds the columns of a header. Refuses a header in which two columns share a name, which lacks a mapped column, or
 * from which no row could become an event; `path` is for the message.
 */
export const resolveColumns = (
  path: string,
  header: ReadonlyArray<string>,
  map: ColumnMap,
  eventName: string | null,
): Result.Result<Columns, ImportError> => {
  const duplicated = header.filter((name, index) => header.indexOf(name) < index)
  if (duplicated.length > 0) {
    return Result.fail(new ColumnsDuplicated({ path, duplicated: [...new Set(duplicated)] }))
  }

  const at: { [key in ColumnKey]: number } = {
    time: -1,
    user: -1,
    anonymous: -1,
    event: -1,
    id: -1,
    session: -1,
    previous: -1,
    group: -1,
    kind: -1,
  }
  const missing: Array<ColumnsNotFound["missing"][number]> = []
  for (const key of COLUMN_KEYS) {
    const column = map[key]
    if (column === undefined) continue
    at[key] = find(header, column)
    if (at[key] < 0) missing.push({ key, column, nearest: nearest(column, header) })
  }
  if (missing.length > 0) return Result.fail(new ColumnsNotFound({ path, missing, columns: header }))

  const taken = new Set(Object.values(at))
  for (const key of COLUMN_KEYS) {
    if (map[key] !== undefined) continue
    const names =
      key === "event" && eventName === null ? [...DEFAULT_NAMES.event, ...WEAK_EVENT_NAMES] : DEFAULT_NAMES[key]
    at[key] = names.map((name) => find(header, name)).find((index) => index >= 0 && !taken.has(index)) ?? -1
    taken.add(at[key])
  }

  const needed = neededColumn(at, eventName)
  if (needed !== undefined) return Result.fail(new ColumnNeeded({ path, key: needed, columns: header }))
  return Result.succeed({
    count: header.length,
    at,
    properties: header.map((name, index) => ({ index, name })).filter(({ index }) => !taken.has(index)),
  })
}

/** A column without which every row would be turned away; what only some rows need is seen when they come. */
const neededColumn = (at: Columns["at"], eventName: string | null): ColumnKey | undefined => {
  if (at.event >= 0 || at.kind >= 0) return undefined
  if (eventName === null) return "event"
  if (eventName === "alias" || eventName === "unalias") {
    return at.previous < 0 ? "previous" : at.user < 0 ? "user" : undefined
  }
  return at.time < 0 ? "time" : undefined
}

/** A name is found exactly, else in any case of letters. */
const find = (header: ReadonlyArray<string>, name: string): number => {
  const exact = header.indexOf(name)
  if (exact >= 0) return exact
  const lower = name.toLowerCase()
  return header.findIndex((column) => column.toLowerCase() === lower)
}
