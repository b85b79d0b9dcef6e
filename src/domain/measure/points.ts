/**
 * A set of moments at which a distinct id did something that a measure remembers: (time, event key, label), ordered by
 * time, then key. The event key names one event of the log (`eventKey`), so a set of points is a join-semilattice under
 * union: taking the same event in twice changes nothing.
 */
export interface Points {
  /** ms since 1970, ascending. */
  readonly times: ReadonlyArray<number>
  readonly keys: ReadonlyArray<number>
  /** What the measure noted of the event. */
  readonly labels: ReadonlyArray<string>
}

/** Points where nobody asks which event each is, in columns that may be longer than they are many. */
export interface TimedLabels {
  readonly count: number
  readonly times: ArrayLike<number>
  readonly labels: ArrayLike<string>
}

export const timedLabels = ({ times, labels }: Points): TimedLabels => ({ count: times.length, times, labels })

/** Calls back with what each of many persons did, one after another. What it gives holds until the call returns. */
export type EachPerson = (visit: (points: TimedLabels) => void) => void

export const EMPTY_POINTS: Points = { times: [], keys: [], labels: [] }

/**
 * The number of one event in the log, unique and fixed by where its batch stands: sequence (32 bits), place in the
 * batch (12 bits), partition (8 bits): below 2^52, so that numbers and their differences are exact.
 */
export const eventKey = (partition: number, sequence: number, place: number): number =>
  (sequence * 4096 + place) * 256 + partition

const precedes = (a: Points, i: number, b: Points, j: number): boolean =>
  a.times[i]! !== b.times[j]! ? a.times[i]! < b.times[j]! : a.keys[i]! < b.keys[j]!

/** The union. Associative, commutative, idempotent. */
export const joinPoints = (a: Points, b: Points): Points => {
  if (a.times.length === 0) return b
  if (b.times.length === 0) return a
  const times: Array<number> = []
  const keys: Array<number> = []
  const labels: Array<string> = []
  let i = 0
  let j = 0
  while (i < a.times.length || j < b.times.length) {
    const fromA = j >= b.times.length || (i < a.times.length && !precedes(b, j, a, i))
    if (fromA && j < b.times.length && !precedes(a, i, b, j)) j++ // the same event on both sides
    const source = fromA ? a : b
    const at = fromA ? i++ : j++
    times.push(source.times[at]!)
    keys.push(source.keys[at]!)
    labels.push(source.labels[at]!)
  }
  return { times, keys, labels }
}

/** Makes the set of points that were noted in any order, possibly repeated. */
export const sortPoints = (points: Points): Points => {
  const { times, keys, labels } = points
  let sorted = true
  for (let i = 1; i < times.length && sorted; i++) sorted = precedes(points, i - 1, points, i)
  if (sorted) return points
  const order = Array.from(times, (_, i) => i).sort((i, j) => times[i]! - times[j]! || keys[i]! - keys[j]!)
  const unique = order.filter(
    (at, n) => n === 0 || keys[at] !== keys[order[n - 1]!] || times[at] !== times[order[n - 1]!],
  )
  return {
    times: unique.map((at) => times[at]!),
    keys: unique.map((at) => keys[at]!),
    labels: unique.map((at) => labels[at]!),
  }
}

/** The points before an instant (exclusive) and those from it on. Joining the two gives back the whole. */
export const splitPoints = (points: Points, instant: number): readonly [before: Points, from: Points] => {
  let at = points.times.findIndex((time) => time >= instant)
  if (at === -1) at = points.times.length
  const part = (start: number, end: number): Points => ({
    times: points.times.slice(start, end),
    keys: points.keys.slice(start, end),
    labels: points.labels.slice(start, end),
  })
  return [part(0, at), part(at, points.times.length)]
}
