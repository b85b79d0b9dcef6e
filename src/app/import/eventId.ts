import crypto from "node:crypto"

/** 128 bits, in hex: no two of any file's lines will share one by chance. */
const ID_LENGTH = 32

/**
 * What the derived event ids of one file have in common, from its base name and the text of its first record.
 * Compression does not change which events a file holds, so `events.csv` and `events.csv.gz` count as one name.
 */
export const idSaltOf = (fileName: string, firstRecord: string): string =>
  crypto.hash("sha256", `${fileName.replace(/\.(?:gz|zst)$/i, "")}\n${firstRecord}`)

/**
 * The id of an event that brings none: importing the same file twice gives the same ids, and two equal lines of one
 * file give two.
 */
export const deriveEventId = (salt: string, line: number, text: string): string =>
  crypto.hash("sha256", `${salt}\n${line}\n${text}`).slice(0, ID_LENGTH)
