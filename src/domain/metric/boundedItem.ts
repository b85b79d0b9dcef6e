import { hash } from "node:crypto"

/** Longest value that stands for itself in a cell, in UTF-16 units: a database index takes no more than about 2,700 bytes. */
export const ITEM_LENGTH_MAX = 256

const KEPT = 240

/**
 * A value as cells and facts carry it: itself, or, when it is very long, its beginning and 12 hex digits of its SHA-256,
 * so that two long values stay two.
 */
export const boundedItem = (value: string): string =>
  value.length <= ITEM_LENGTH_MAX
    ? value
    : `${value.slice(0, KEPT)}…${hash("sha256", Buffer.from(value, "utf16le"), "hex").slice(0, 12)}`
