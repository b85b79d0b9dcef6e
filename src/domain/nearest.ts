/** Edits (insert, delete, replace) that turn one text into the other: Levenshtein's distance. */
const distance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, previous[j]! + 1, row[j - 1]! + 1))
    }
    previous = row
  }
  return previous[b.length]!
}

/** Longest name compared: the distance costs the product of both lengths, and a header may be hostile. */
const LENGTH_MAX = 100

/** The candidate spelled most like a name, regardless of case; `null` when none is at least half alike. */
export const nearest = (name: string, candidates: ReadonlyArray<string>): string | null => {
  if (name.length > LENGTH_MAX) return null
  let best: string | null = null
  let fewest = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    if (candidate.length > LENGTH_MAX) continue
    const edits = distance(name.toLowerCase(), candidate.toLowerCase())
    if (edits < fewest && edits * 2 <= Math.max(name.length, candidate.length)) {
      best = candidate
      fewest = edits
    }
  }
  return best
}
