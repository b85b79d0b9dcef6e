import { type Day, firstDayOfMonth, type Month, monthOfDay } from "../time/calendar.ts"
import { EMPTY_FACT, type Fact, factOf, type FactRow } from "./Fact.ts"
import { EMPTY_POINTS, type Points, sortPoints } from "./points.ts"

/** Room for so many observations, or owners, at first. */
const ROOM = 64

/** From so many rows on they are found by key; few are found faster by looking at each. */
const INDEXED_ROWS = 16

/** What stands for the key of a moment that is not kept. */
const NO_MOMENT = -1

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
  #before = new Int32Array(ROOM)
  #values = new Int32Array(ROOM)
  #labels = new Int32Array(ROOM)
  #days = new Int32Array(ROOM)
  #times = new Float64Array(ROOM)
  #keys = new Float64Array(ROOM)
  /** By owner, 1 + the place of its last observation; 0 without any. */
  #last = new Int32Array(ROOM)
  readonly #texts: Array<string> = []
  readonly #placeOfText = new Map<string, number>()

  /**
   * Notes one observation of an owner, a number from 0 on, of which there should be no more than are needed. `key` and
   * `label` are kept only where `keepsPoint`.
   */
  add(owner: number, value: string, day: Day, time: number, key: number, label: string, keepsPoint: boolean): void {
    if (owner >= this.#last.length) this.#last = grown(this.#last, owner + 1)
    const last = this.#last[owner]!
    const valuePlace = this.#placeOf(value)
    if (!keepsPoint && last > 0 && this.#days[last - 1] === day && this.#values[last - 1] === valuePlace) return
    const at = this.#count
    if (at === this.#values.length) this.#grow()
    this.#count++
    this.#before[at] = last
    this.#values[at] = valuePlace
    this.#days[at] = day
    this.#times[at] = time
    this.#keys[at] = keepsPoint ? key : NO_MOMENT
    if (keepsPoint) this.#labels[at] = this.#placeOf(label)
    this.#last[owner] = at + 1
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
      if (this.#keys[at] === NO_MOMENT) continue
      row.times.push(this.#times[at]!)
      row.keys.push(this.#keys[at]!)
      row.labels.push(this.#texts[this.#labels[at]!]!)
    }
    return rows.drafts.map(({ value, month, mask, times, keys, labels }) => {
      const points: Points = times.length === 0 ? EMPTY_POINTS : sortPoints({ times, keys, labels })
      return { value: this.#texts[value]!, month, mask, points }
    })
  }

  #placeOf(text: string): number {
    let place = this.#placeOfText.get(text)
    if (place === undefined) {
      place = this.#texts.push(text) - 1
      this.#placeOfText.set(text, place)
    }
    return place
  }

  #grow(): void {
    const room = this.#values.length + 1
    this.#before = grown(this.#before, room)
    this.#values = grown(this.#values, room)
    this.#labels = grown(this.#labels, room)
    this.#days = grown(this.#days, room)
    this.#times = grown(this.#times, room)
    this.#keys = grown(this.#keys, room)
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

const grown = <A extends Int32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(column: A, room: number): A => {
  const larger = new (column.constructor as new (length: number) => A)(Math.max(room, 2 * column.length))
  larger.set(column)
  return larger
}
