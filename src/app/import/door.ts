import { Result } from "effect"
import { admit, type Door, type RejectionReason } from "../../domain/event/admit.ts"
import { EVENT_BYTES_MAX } from "../../domain/event/size.ts"
import type { Json } from "../../domain/event/json.ts"
import type { TimeZone } from "../../domain/time/TimeZone.ts"
import { deriveEventId, idSaltOf } from "./eventId.ts"
import type { FileContext } from "./lineContext.ts"
import { cutRaw, RAW_LENGTH_MAX, type Row } from "./row.ts"

/** Takes what the readers of one file made of its lines, and collects a row for each. */
export class FileDoor {
  #context: FileContext
  #rows: Array<Row> = []
  #idSalt: string
  readonly #door: Door
  /** The line being admitted, from which its id is derived if it brings none. */
  #line = 0
  #text = ""

  constructor(context: FileContext, zone: TimeZone, now: number) {
    this.#context = context
    this.#idSalt = context.idSalt ?? ""
    this.#door = {
      now,
      mode: "import",
      skew: "correct",
      zone,
      fallbackId: () => deriveEventId(this.#idSalt, this.#line, this.#text),
    }
  }

  get context(): FileContext {
    return this.#context
  }

  /** Says what the columns of a CSV file are. */
  setHeader(header: ReadonlyArray<string>): void {
    this.#context = { ...this.#context, header }
  }

  /** Admits what a line holds; `text` is the line as it stands in the file. */
  admit(raw: Json, line: number, text: string): void {
    this.#begin(text)
    this.#line = line
    this.#text = text
    const admitted = admit(raw, this.#door)
    if (Result.isSuccess(admitted)) this.#rows.push({ _tag: "Accepted", event: admitted.success })
    else this.#reject(admitted.failure.reason, admitted.failure.detail, line, text, text.length > RAW_LENGTH_MAX)
  }

  reject(reason: RejectionReason, detail: string, line: number, text: string): void {
    this.#begin(text)
    this.#reject(reason, detail, line, text, text.length > RAW_LENGTH_MAX)
  }

  /** Turns away a line that was too long to be held; `beginning` is what was kept of it. */
  rejectTooLarge(bytes: number, line: number, beginning: string): void {
    this.#begin(beginning)
    const detail = `The event has ${bytes} bytes; at most ${EVENT_BYTES_MAX} fit into the log.`
    this.#reject("too-large", detail, line, beginning, true)
  }

  /** The rows since the last call. */
  takeRows(): ReadonlyArray<Row> {
    const rows = this.#rows
    this.#rows = []
    return rows
  }

  #begin(text: string): void {
    if (this.#context.idSalt !== null) return
    this.#idSalt = idSaltOf(this.#context.fileName, cutRaw(text))
    this.#context = { ...this.#context, idSalt: this.#idSalt }
  }

  #reject(reason: RejectionReason, detail: string, line: number, text: string, truncated: boolean): void {
    this.#rows.push({
      _tag: "Rejected",
      rejection: { reason, detail },
      raw: cutRaw(text),
      line,
      context: { ...this.#context, line, truncated },
    })
  }
}
