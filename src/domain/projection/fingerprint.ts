/** A 64-bit fingerprint as two unsigned 32-bit halves; never both 0, which marks an empty place in tables. */
interface Fingerprint {
  low: number
  high: number
}

/**
 * Fingerprints an event id into `into` (so that a million of them make no garbage). Two lanes in the manner of
 * MurmurHash3's finaliser; equal ids always agree, and ids that agree are compared in full before anything is dropped,
 * so quality only matters for speed.
 */
const fingerprint = (id: string, into: Fingerprint): void => {
  let low = 0x9e3779b9 ^ id.length
  let high = 0x85ebca6b
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i)
    low = Math.imul(low ^ unit, 0x85ebca77)
    high = Math.imul(high ^ unit, 0xc2b2ae3d)
    low = (low << 13) | (low >>> 19)
    high = (high << 17) | (high >>> 15)
  }
  low = Math.imul(low ^ (low >>> 16), 0x85ebca6b) ^ Math.imul(high ^ (high >>> 13), 0xc2b2ae35)
  high = Math.imul(high ^ (high >>> 16), 0x85ebca6b) ^ Math.imul(low ^ (low >>> 13), 0xc2b2ae35)
  into.low = low >>> 0
  into.high = high >>> 0 || 1
}

/** Fingerprints of ids, the two halves of each after those of the one before. */
export const fingerprintsOf = (ids: ReadonlyArray<string>): Uint32Array => {
  const fingerprints = new Uint32Array(ids.length * 2)
  const one: Fingerprint = { low: 0, high: 0 }
  for (let i = 0; i < ids.length; i++) {
    fingerprint(ids[i]!, one)
    fingerprints[2 * i] = one.low
    fingerprints[2 * i + 1] = one.high
  }
  return fingerprints
}
