/** The ms of a duration such as `30m` or `14d`; a day is always 24 hours (docs/reference/semantics.md, Funnels: elapsed time). */
export const durationMillis = (text: string): number => {
  const match = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d|w)$/.exec(text.trim())
  if (match === null) throw new Error("The oracle was given a duration that no metric definition may hold.")
  return Number(match[1]) * millisOfUnit(match[2]!)
}

const millisOfUnit = (unit: string): number => {
  switch (unit) {
    case "ms":
      return 1
    case "s":
      return 1000
    case "m":
      return 60 * 1000
    case "h":
      return 60 * 60 * 1000
    case "d":
      return 24 * 60 * 60 * 1000
    default:
      return 7 * 24 * 60 * 60 * 1000
  }
}
