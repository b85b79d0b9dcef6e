/** The largest number of which 31 bits are all: up to it, bit operators are exact. */
const BITS_31_MAX = 0x7fffffff

/** Writes non-negative safe integers as LEB128 varints, into bytes that grow. */
export class VarintWriter {
  #bytes: Buffer
  #length = 0

  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(size)
  }

  get length(): number {
    return this.#length
  }

  /** What was written, until the next write. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Begins anew, in the same memory. */
  clear(): void {
    this.#length = 0
  }

  write(value: number): void {
    this.#reserve(8)
    let rest = value
    // Bit operators stop at 32 bits, so the greater ones are divided.
    while (rest > BITS_31_MAX) {
      this.#bytes[this.#length++] = (rest % 128) + 128
      rest = Math.floor(rest / 128)
    }
    while (rest >= 128) {
      this.#bytes[this.#length++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.#bytes[this.#length++] = rest
  }

  /** Zigzag: 0, −1, 1, −2, … as 0, 1, 2, 3, …; without doubling, which would not be exact for all. */
  writeSigned(value: number): void {
    const sign = value < 0 ? 1 : 0
    const size = sign === 1 ? -value - 1 : value
    const rest = Math.floor(size / 64)
    const low = (size - 64 * rest) * 2 + sign
    this.#reserve(1)
    this.#bytes[this.#length++] = rest === 0 ? low : low | 128
    if (rest > 0) this.write(rest)
  }

  writeBytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.#length + more))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}

/** Reads what a {@link VarintWriter} wrote. */
export class VarintReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  #next(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw new RangeError("the bytes end within a number")
    return byte
  }

  read(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#next()
      value |= (byte & 127) << shift
      if (byte < 128) return value
    }
    for (let scale = 2 ** 28; ; scale *= 128) {
      const byte = this.#next()
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }

  readSigned(): number {
    const first = this.#next()
    let size = (first & 127) >> 1
    if (first >= 128) size += 64 * this.read()
    return (first & 1) === 0 ? size : -size - 1
  }

  /** The next so many bytes as text. */
  readText(length: number): string {
    const from = this.#at
    this.#at += length
    return this.#bytes.toString("utf8", from, this.#at)
  }

  skip(length: number): void {
    this.#at += length
  }
}
