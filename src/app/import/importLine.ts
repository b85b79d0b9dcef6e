import { Result } from "effect"
import { TimeZone } from "../../domain/time/TimeZone.ts"
import { FileDoor } from "./door.ts"
import { ContextZoneUnknown, type ImportError, isImportError } from "./errors.ts"
import type { LineContext } from "./lineContext.ts"
import { readerOf } from "./reader.ts"
import { RAW_LENGTH_MAX, type Row } from "./row.ts"

/**
 * Reads one quarantined line again, as if where it stood; `now` is the replay's moment, ms. An event gets the id that
 * it would have got then, so replaying a line twice, or importing its file again, counts it once.
 *
 * Fails when the context itself won't do: its map names columns that the file didn't have.
 */
export const importLine = (
  raw: string,
  context: LineContext,
  now: number,
): Result.Result<Row, ImportError | ContextZoneUnknown> => {
  const { line, truncated, ...file } = context
  if (truncated) {
    const detail = `Only the first ${RAW_LENGTH_MAX / 1024} KiB of this line were kept: correct it in its file and import that again.`
    return Result.succeed({
      _tag: "Rejected",
      rejection: { reason: "too-large", detail },
      raw,
      line,
      context,
    })
  }
  const zone = TimeZone.of(context.zone)
  if (zone === undefined) return Result.fail(new ContextZoneUnknown({ zone: context.zone }))
  return Result.try({
    try: () => {
      const door = new FileDoor(file, zone, now)
      const reader = readerOf(door, context.fileName)
      raw.split("\n").forEach((text, index) => reader.line(text, line + index, Buffer.byteLength(text), true))
      reader.finish()
      const [row, ...more] = door.takeRows()
      if (row !== undefined && more.length === 0) return row
      // Possible only if the context was changed, such as to another delimiter.
      door.reject("line-incomplete", "The line does not hold exactly one record.", line, raw)
      return door.takeRows()[0]!
    },
    catch: (cause) => {
      if (isImportError(cause)) return cause
      throw cause
    },
  })
}
