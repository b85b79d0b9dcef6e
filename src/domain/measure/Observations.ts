import { grownFloats, grownInts } from "../columns.ts"
import { Dictionary } from "../Dictionary.ts"
import { type Day, firstDayOfMonth, type Month, monthOfDay } from "../time/calendar.ts"
import { EMPTY_FACT, type Fact, factOf, type FactRow } from "./Fact.ts"
import { EMPTY_POINTS, type Points, sortPoints } from "./points.ts"

/** Room for so many observations, or owners, at first: steps of few events are many, and V8 makes small columns for nothing. */
const ROOM = 8

/** From so many rows on they are found by key; few are found faster by looking at each. */
const INDEXED_ROWS = 16

/** What stands for the key where no point is kept. */
const NO_POINT = -1

interface RowDraft {
  readonly value: number
  readonly month: Month
  readonly firstDay: Day
  mask: number
  readonly times: Array<number>
  readonly keys: Array<number>
  readonly labels: Array<string>
}

/**
 * What one measure observes of many distinct ids, in columns, and for each of them the fact that it makes: the join of all
 * its observations, made in one go. A step holds as many as it has events until it is committed, and millions of small
 * objects that live so long are what garbage collectors do worst.
 */
export class Observations {
  #count = 0
  /** 1 + the place of the same owner's observation before; 0 for its first. */
  #before: Int32Array = new Int32Array(ROOM)
  #values: Int32Array = new Int32Array(ROOM)
  #labels: Int32Array = new Int32Array(ROOM)
  #days: Int32Array = new Int32Array(ROOM)
  #times: Float64Array = new Float64Array(ROOM)
  #keys: Float64Array = new Float64Array(ROOM)
  /** By owner, 1 + the place of its last observation; 0 without any. */
  #last: Int32Array = new Int32Array(ROOM)
  /** Values and labels. */
  readonly #texts = new Dictionary()

  /** Notes a day on which an owner was observed with a value. Owners are numbered without holes: each takes some room. */
  addDay(owner: number, value: string, day: Day): void {
    const place = this.#texts.add(value)
    const last = this.#lastOf(owner)
    // Most events of a day come together, and a day says nothing twice.
    if (last > 0 && this.#days[last - 1] === day && this.#values[last - 1] === place) return
    this.#add(owner, place, day, NO_POINT)
  }

  /** The same, and the moment itself: the event's time and key, and what the measure noted of it. */
  addPoint(owner: number, value: string, day: Day, time: number, key: number, label: string): void {
    const at = this.#add(owner, this.#texts.add(value), day, key)
    this.#times[at] = time
    this.#labels[at] = this.#texts.add(label)
  }

  #add(owner: number, value: number, day: Day, key: number): number {
    const at = this.#count
    if (at === this.#values.length) this.#grow()
    this.#count++
    this.#before[at] = this.#lastOf(owner)
    this.#values[at] = value
    this.#days[at] = day
    this.#keys[at] = key
    this.#last[owner] = at + 1
    return at
  }

  #lastOf(owner: number): number {
    if (owner >= this.#last.length) this.#last = grownInts(this.#last, owner + 1)
    return this.#last[owner]!
  }

  /** What was observed of an owner. */
  factOf(owner: number): Fact {
    return this.#has(owner) ? factOf(this.#rowsOf(owner)) : EMPTY_FACT
  }

  /** The rows of the same fact, made when they are asked for; `null` where nothing was observed. */
  rowsOf(owner: number): Iterable<FactRow> | null {
    return this.#has(owner) ? { [Symbol.iterator]: () => this.#rowsOf(owner)[Symbol.iterator]() } : null
  }

  #has(owner: number): boolean {
    return owner < this.#last.length && this.#last[owner]! > 0
  }

  #rowsOf(owner: number): ReadonlyArray<FactRow> {
    const places: Array<number> = []
    for (let at = this.#last[owner]!; at > 0; at = this.#before[at - 1]!) places.push(at - 1)
    const rows = new Rows()
    for (let n = places.length - 1; n >= 0; n--) {
      const at = places[n]!
      const row = rows.of(this.#values[at]!, this.#days[at]!)
      row.mask |= 1 << (this.#days[at]! - row.firstDay)
      if (this.#keys[at] === NO_POINT) continue
      row.times.push(this.#times[at]!)
      row.keys.push(this.#keys[at]!)
      row.labels.push(this.#texts.values[this.#labels[at]!]!)
    }
    return rows.drafts.map(({ value, month, mask, times, keys, labels }) => {
      const points: Points = times.length === 0 ? EMPTY_POINTS : sortPoints({ times, keys, labels })
      return { value: this.#texts.values[value]!, month, mask, points }
    })
  }

  #grow(): void {
    const room = this.#values.length + 1
    this.#before = grownInts(this.#before, room)
    this.#values = grownInts(this.#values, room)
    this.#labels = grownInts(this.#labels, room)
    this.#days = grownInts(this.#days, room)
    this.#times = grownFloats(this.#times, room)
    this.#keys = grownFloats(this.#keys, room)
  }
}

/** The rows of one fact in the making. */
class Rows {
  readonly drafts: Array<RowDraft> = []
  #latest: RowDraft | undefined
  #byKey: Map<number, RowDraft> | null = null

  /** The row of a value and of the month that holds a day. */
  of(value: number, day: Day): RowDraft {
    const latest = this.#latest
    // Most observations are of the month of the one before: a day within 28 of its first is in it.
    const sameMonth = latest !== undefined && day >= latest.firstDay && day < latest.firstDay + 28
    if (sameMonth && latest.value === value) return latest
    const month = sameMonth ? latest.month : monthOfDay(day)
    let row = this.#find(value, month)
    if (row === undefined) {
      const firstDay = sameMonth ? latest.firstDay : firstDayOfMonth(month)
      row = { value, month, firstDay, mask: 0, times: [], keys: [], labels: [] }
      this.#note(row)
    }
    this.#latest = row
    return row
  }

  #find(value: number, month: Month): RowDraft | undefined {
    if (this.#byKey !== null) return this.#byKey.get(rowKey(value, month))
    return this.drafts.find((row) => row.value === value && row.month === month)
  }

  #note(row: RowDraft): void {
    this.drafts.push(row)
    if (this.#byKey !== null) this.#byKey.set(rowKey(row.value, row.month), row)
    else if (this.drafts.length >= INDEXED_ROWS) {
      this.#byKey = new Map(this.drafts.map((draft) => [rowKey(draft.value, draft.month), draft]))
    }
  }
}

/** Months are fewer than 2^23 in all, as far as instants go, and values of a step than 2^30. */
const rowKey = (value: number, month: Month): number => value * 2 ** 23 + month
