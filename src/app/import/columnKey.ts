/** What a column (CSV) or field (NDJSON) can be to an event. */
export const COLUMN_KEYS = ["time", "user", "anonymous", "event", "id", "session", "previous", "group", "kind"] as const

export type ColumnKey = (typeof COLUMN_KEYS)[number]

/** Which column or field is what; keys left out are found by name (see {@link DEFAULT_NAMES}). */
export type ColumnMap = { readonly [key in ColumnKey]?: string }
