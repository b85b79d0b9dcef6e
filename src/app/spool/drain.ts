import { Effect } from "effect"
import type { SpoolFile } from "../../infra/embedded/SpoolFile.ts"
import type { AppendError, LogWriter } from "../LogWriter.ts"
import { openRecord } from "../readBatches.ts"

/**
 * Moves the oldest batch of a spool to the log; `false` when there is none. Noted after the log has it: a crash in between
 * has it sent once more, with the same event ids, and each event counts once.
 */
export const drainOne = Effect.fnUntraced(function* (
  file: SpoolFile,
  writer: LogWriter["Service"],
): Effect.fn.Return<boolean, AppendError> {
  const record = yield* file.next
  if (record === null) return false
  const batch = yield* openRecord(record)
  yield* writer.append(batch.events())
  yield* file.take
  return true
})

/** Moves all of a spool, which nobody else writes to, to the log. */
export const drainAll = (file: SpoolFile, writer: LogWriter["Service"]): Effect.Effect<void, AppendError> =>
  Effect.andThen(Effect.repeat(drainOne(file, writer), { while: (more) => more }), file.clear)
