import type { Event } from "../../domain/event/Event.ts"
import type { Rejection } from "../../domain/event/admit.ts"
import type { LineContext } from "./lineContext.ts"

/** What became of one line (a CSV record may have several; `line` is its first). Lines count from 1. */
export type Row =
  | { readonly _tag: "Accepted"; readonly event: Event }
  | {
      readonly _tag: "Rejected"
      readonly rejection: Rejection
      /** The line as it stood in the file, cut by {@link cutRaw}. */
      readonly raw: string
      readonly line: number
      /** All that is needed to read `raw` again. */
      readonly context: LineContext
    }

/** Most of a rejected line that is kept, in UTF-16 units (and of a line too long to hold, in bytes): 64 Ki. */
export const RAW_LENGTH_MAX = 64 * 1024

/** The part of a rejected line that goes to quarantine. */
export const cutRaw = (text: string): string => {
  if (text.length <= RAW_LENGTH_MAX) return text
  // Half a surrogate pair is no text: it would not survive the way to a database.
  const last = text.charCodeAt(RAW_LENGTH_MAX - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? RAW_LENGTH_MAX - 1 : RAW_LENGTH_MAX)
}
