import { Effect } from "effect"
import { addDecimals, type Decimal, DECIMAL_ZERO, decimalOf, parseDecimal } from "../../domain/measure/decimal.ts"
import { type Fact, timedLabelsOf } from "../../domain/measure/Fact.ts"
import { funnelReader } from "../../domain/measure/funnelReader.ts"
import type { Measure } from "../../domain/measure/Measure.ts"
import { Observations } from "../../domain/measure/Observations.ts"
import { eventKey } from "../../domain/measure/points.ts"
import { cutSessions, emitSession, PERSONS, type Session, sessionRules } from "../../domain/measure/sessions.ts"
import type { Batch } from "../../domain/log/batch.ts"
import { BatchCursor } from "../../domain/projection/BatchCursor.ts"
import type { Day } from "../../domain/time/calendar.ts"
import type { TimeZone } from "../../domain/time/TimeZone.ts"
import { type Extent, scanLog } from "../query/scanLog.ts"
import type { Attribution, Person } from "./attribution.ts"

/** A cell of a measure. */
export interface CellKey {
  readonly day: Day
  readonly item: string
  readonly stat: string
}

/** A stretch of time, both ends included, ms. */
interface Stretch {
  readonly from: number
  readonly to: number
}

/** What a person adds to a cell, and by what it did when. */
export interface Contribution {
  readonly amount: Decimal
  readonly stretches: ReadonlyArray<Stretch>
}

/** Whether, and how, an event counts in a cell by itself, or is looked at for its person. */
export interface Role {
  /** What it adds to the cell by itself. */
  readonly tallied: Decimal
  /** The value of the breakdown under which its person is looked at; `null` for an event that is not. */
  readonly value: string | null
  readonly label: string
}

/** Looks at single events as the measure does, with one cell in mind. */
export const makeRoles = (measure: Measure, cell: CellKey, zone: TimeZone) => {
  const isCell = (day: Day, item: string, stat: string) => day === cell.day && item === cell.item && stat === cell.stat
  /** `null` for an event that is nothing to the measure, or could not be folded. */
  return (cursor: BatchCursor): Role | null => {
    if (!measure.concerns(cursor.name, cursor.kind)) return null
    let tallied = DECIMAL_ZERO
    try {
      const observation = measure.observe(cursor)
      measure.tally?.(
        cursor,
        zone.dayOf(cursor.time),
        (day, item, stat, amount) => {
          if (isCell(day, item, stat)) tallied = addDecimals(tallied, decimalOf(amount))
        },
        (day, item, stat, amount) => {
          if (isCell(day, item, stat)) tallied = addDecimals(tallied, parseDecimal(amount))
        },
      )
      return { tallied, value: observation?.value ?? null, label: observation?.label ?? "" }
    } catch {
      return null
    }
  }
}

/** Walks the log, and works out what each person adds to a cell, by the measure's own code. */
export const contributors = Effect.fnUntraced(function* (
  measure: Measure,
  cell: CellKey,
  extents: ReadonlyArray<Extent>,
  attribution: Attribution,
  zone: TimeZone,
) {
  const roleOf = makeRoles(measure, cell, zone)
  const observations = new Observations()
  /** Persons that own observations, each by its number among these. */
  const owners = new Map<number, number>()
  const tallied = new Map<Person, Decimal>()
  const take = (partition: number, sequence: number, batch: Batch, leftOut: ReadonlySet<number>): void => {
    const cursor = new BatchCursor(batch)
    for (let place = 0; place < batch.count; place++) {
      if (leftOut.has(place)) continue
      cursor.moveTo(place)
      const role = roleOf(cursor)
      if (role === null) continue
      const person = attribution.ofEvent(batch, place)
      if (role.tallied.digits !== 0n) {
        tallied.set(person, addDecimals(tallied.get(person) ?? DECIMAL_ZERO, role.tallied))
      }
      if (person === null || role.value === null) continue
      const owner = owners.get(person) ?? owners.size
      owners.set(person, owner)
      const { time } = cursor
      const key = eventKey(partition, sequence, place)
      observations.addPoint(owner, role.value, zone.dayOf(time), time, key, role.label)
    }
  }
  yield* scanLog(extents, take)

  const found = new Map<Person, Contribution>()
  for (const [person, amount] of tallied) found.set(person, { amount, stretches: [] })
  for (const [person, owner] of owners) {
    const fact = observations.factOf(owner)
    const amount = contributed(measure, fact, cell)
    if (amount.digits === 0n) continue
    const known = found.get(person)?.amount ?? DECIMAL_ZERO
    found.set(person, { amount: addDecimals(known, amount), stretches: stretchesOf(measure, fact, cell, zone) })
  }
  return found
})

const contributed = (measure: Measure, fact: Fact, cell: CellKey): Decimal => {
  let sum = DECIMAL_ZERO
  measure.contribute(fact, (day, item, stat, amount) => {
    if (day === cell.day && item === cell.item && stat === cell.stat) sum = addDecimals(sum, decimalOf(amount))
  })
  return sum
}

/** Whether a session of the cell's day has a part in it. */
const isIn = (session: Session, { day, item, stat }: CellKey): boolean => {
  let found = stat === PERSONS
  emitSession(session, day, (_, ofItem, ofStat) => {
    if (ofItem === item && ofStat === stat) found = true
  })
  return found
}

/** When a person did what counts in a cell: sessions of its day that do, the attempt that counts, or the day itself. */
const stretchesOf = ({ definition }: Measure, fact: Fact, cell: CellKey, zone: TimeZone): ReadonlyArray<Stretch> => {
  const { formula } = definition
  const { day } = cell
  if (formula.kind === "sessions") {
    return cutSessions(timedLabelsOf(fact), sessionRules(formula), zone)
      .filter((session) => zone.dayOf(session.start) === day && isIn(session, cell))
      .map(({ start, end }) => ({ from: start, to: end }))
  }
  if (formula.kind === "funnel") {
    const history = funnelReader(formula)(timedLabelsOf(fact))
    const reached = history.bestWhere((entry) => zone.dayOf(entry) === day)?.reached
    return reached === undefined ? [] : [{ from: Math.min(...reached), to: Math.max(...reached) }]
  }
  return [{ from: zone.startOfDay(day), to: zone.startOfDay(day + 1) - 1 }]
}
