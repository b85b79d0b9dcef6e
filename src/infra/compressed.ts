import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib"

/** First bytes of a zstd frame. No batch begins so: a batch is text. */
const MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** More than any batch has. What is larger is not compressed, so that whatever was compressed can be read again. */
const BATCH_BYTES_BOUND = 1024 * 1024

/**
 * How much may come of a record that is decompressed. A few bytes of a stranger's could unpack to any number, or ask for
 * a window of 128 MiB; ours ask for 2 MiB, by the level that is zstd's own default.
 */
const BOUNDS = {
  maxOutputLength: BATCH_BYTES_BOUND,
  params: { [constants.ZSTD_d_windowLogMax]: 21 },
}

/** A batch as a log stores it: compressed with zstd, or as it is where that would make it no smaller. */
export const compress = (batch: Uint8Array): Uint8Array => {
  if (batch.length > BATCH_BYTES_BOUND) return batch
  const frame = zstdCompressSync(batch)
  return frame.length < batch.length ? frame : batch
}

/**
 * The batch of what a log stores. What is not compressed is handed on as it is, and so is what no longer decompresses:
 * the batch's own checksum then says that it is damaged.
 */
export const decompress = (stored: Uint8Array): Uint8Array => {
  if (!MAGIC.equals(stored.subarray(0, MAGIC.length))) return stored
  try {
    return zstdDecompressSync(stored, BOUNDS)
  } catch {
    return stored
  }
}
