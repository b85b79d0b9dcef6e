/** The oldest server that a log can be kept in: it has what the adapter needs, and it is what is tested. */
export const OLDEST_SERVER = "2.9.0"

/** From this version on a server compresses the blocks of a stream. */
const COMPRESSION_SINCE = "2.10.0"

type Version = readonly [major: number, minor: number, patch: number]

/** `2.10.27` of `v2.10.27-binary`; null where there is no version. */
const parse = (text: string): Version | null => {
  const match = /^v?(\d+)\.(\d+)\.(\d+)/.exec(text)
  return match === null ? null : [Number(match[1]), Number(match[2]), Number(match[3])]
}

/** Whether a server's version is this one or a later one. A version that can't be read is older than any. */
export const isAtLeast = (found: string, needed: string): boolean => {
  const a = parse(found)
  const b = parse(needed)
  if (a === null || b === null) return false
  for (const i of [0, 1, 2] as const) if (a[i] !== b[i]) return a[i] > b[i]
  return true
}

/** What is wrong with a server's version; null when a log can be kept there. */
export const versionProblem = (found: string): string | null =>
  isAtLeast(found, OLDEST_SERVER) ? null : `it is version ${found}, and ${OLDEST_SERVER} is the oldest that will do`

/** From this version on a server can sync every write (`sync_interval: always`); older ones refuse the setting. */
const SYNC_SINCE = "2.10.0"

/** Whether a server can be told to sync every write before it acknowledges it. */
export const canSyncEveryWrite = (found: string): boolean => isAtLeast(found, SYNC_SINCE)

/** Whether a server compresses what it stores. */
export const compresses = (found: string): boolean => isAtLeast(found, COMPRESSION_SINCE)
