import { EVENT_BYTES_MAX } from "../../domain/event/size.ts"
import { RAW_LENGTH_MAX } from "./row.ts"

/** Takes the physical lines of a file in order. Lines count from 1 and come without their line feed. */
export interface LineSink {
  /** `terminated` is false for a last line without a line feed. `bytes` is its size in the file. */
  line(text: string, number: number, bytes: number, terminated: boolean): void
  /** A line over `EVENT_BYTES_MAX`: only its beginning is kept, and how many double quotes it has. */
  longLine(beginning: string, number: number, quotes: number, bytes: number): void
}

const LINE_FEED = 0x0a
const QUOTE = 0x22

const countQuotes = (block: Buffer): number => {
  let count = 0
  for (let at = block.indexOf(QUOTE); at >= 0; at = block.indexOf(QUOTE, at + 1)) count++
  return count
}

/**
 * Cuts blocks of bytes into lines, holding at most one line of `EVENT_BYTES_MAX`. Bytes that are no UTF-8 become U+FFFD.
 *
 * Each line is decoded on its own, so that an id cut out of it keeps one line alive and not a whole block of them.
 */
export class LineSplitter {
  readonly #sink: LineSink
  #number = 0
  /** The beginning of a line whose end has not come yet. */
  #held: Array<Buffer> = []
  #heldBytes = 0
  /** Set while inside a line that is too long to hold. */
  #long: { readonly beginning: string; quotes: number; bytes: number } | null = null

  constructor(sink: LineSink) {
    this.#sink = sink
  }

  push(block: Buffer): void {
    let start = 0
    for (let end = block.indexOf(LINE_FEED); end >= 0; end = block.indexOf(LINE_FEED, start)) {
      const bytes = end - start
      if (this.#heldBytes === 0 && this.#long === null && bytes <= EVENT_BYTES_MAX) {
        this.#sink.line(block.toString("utf8", start, end), ++this.#number, bytes, true)
      } else {
        this.#hold(block.subarray(start, end))
        this.#release(true)
      }
      start = end + 1
    }
    if (start < block.length) this.#hold(block.subarray(start))
  }

  /** Gives out the last line, if the file didn't end in a line feed. */
  finish(): void {
    if (this.#heldBytes > 0 || this.#long !== null) this.#release(false)
  }

  #hold(part: Buffer): void {
    if (this.#long !== null) {
      this.#long.quotes += countQuotes(part)
      this.#long.bytes += part.length
      return
    }
    this.#held.push(part)
    this.#heldBytes += part.length
    if (this.#heldBytes > EVENT_BYTES_MAX) {
      const all = Buffer.concat(this.#held)
      // In streaming mode the decoder leaves out a character that the cut went through.
      const beginning = new TextDecoder().decode(all.subarray(0, RAW_LENGTH_MAX), { stream: true })
      this.#long = { beginning, quotes: countQuotes(all), bytes: all.length }
      this.#held = []
      this.#heldBytes = 0
    }
  }

  #release(terminated: boolean): void {
    const number = ++this.#number
    if (this.#long !== null) {
      const { beginning, quotes, bytes } = this.#long
      this.#long = null
      this.#sink.longLine(beginning, number, quotes, bytes)
      return
    }
    const bytes = this.#heldBytes
    const text = Buffer.concat(this.#held).toString("utf8")
    this.#held = []
    this.#heldBytes = 0
    this.#sink.line(text, number, bytes, terminated)
  }
}

/** Makes rows of lines; told when there are no more. */
export interface LineReader extends LineSink {
  finish(): void
}
