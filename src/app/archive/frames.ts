/**
 * How a file of batches holds its records: one after another, each a line that says where it stood and how long it is, and
 * then its bytes as they stood in the log. Batches are lines of text themselves, so all of the file is.
 */
export interface Frame {
  readonly sequence: number
  readonly bytes: Uint8Array
}

/** A frame as it stands in the file. */
export const encodeFrame = ({ sequence, bytes }: Frame): Buffer =>
  Buffer.concat([Buffer.from(`{"sequence":${sequence},"bytes":${bytes.length}}\n`), bytes])

const HEADER = /^\{"sequence":(\d{1,16}),"bytes":(\d{1,9})\}$/

/** The longest header and its line feed. */
const HEADER_BYTES_MAX = 64

/** Takes the bytes of a file in blocks of any size, and gives the frames that are whole. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0)

  /** The frames that this block completes; `null` where the bytes are none. */
  push(block: Buffer): ReadonlyArray<Frame> | null {
    const bytes = this.#rest.length === 0 ? block : Buffer.concat([this.#rest, block])
    const frames: Array<Frame> = []
    let at = 0
    for (;;) {
      const lineEnd = bytes.subarray(at, at + HEADER_BYTES_MAX).indexOf(10)
      if (lineEnd < 0) {
        if (bytes.length - at >= HEADER_BYTES_MAX) return null
        break
      }
      const match = HEADER.exec(bytes.toString("latin1", at, at + lineEnd))
      if (match === null) return null
      const from = at + lineEnd + 1
      const to = from + Number(match[2])
      if (to > bytes.length) break
      frames.push({ sequence: Number(match[1]), bytes: bytes.subarray(from, to) })
      at = to
    }
    this.#rest = bytes.subarray(at)
    return frames
  }

  /** Whether the bytes so far end with a whole frame. */
  get isWhole(): boolean {
    return this.#rest.length === 0
  }
}
