const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/**
 * A duration in ms from a number and a unit: `500ms`, `30s`, `30m`, `12h`, `14d`, `2w`. A day is 24 hours.
 * `undefined` when it isn't one, is negative or is no whole number of ms.
 */
export const parseDuration = (text: string): number | undefined => {
  const match = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d|w)$/.exec(text.trim())
  if (match === null) return undefined
  const millis = Number(match[1]) * UNITS[match[2]!]!
  return Number.isSafeInteger(millis) ? millis : undefined
}

/** The shortest spelling that {@link parseDuration} reads back: `14d`, `30m`. */
export const formatDuration = (millis: number): string => {
  for (const unit of ["d", "h", "m", "s"]) {
    const size = UNITS[unit]!
    if (millis >= size && millis % size === 0) return `${millis / size}${unit}`
  }
  return `${millis}ms`
}
