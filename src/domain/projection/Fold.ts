import { EVENT_KINDS, type EventKind, isActivity, isKnownKind } from "../event/Event.ts"
import { numberOf } from "../event/numbered.ts"
import { anonymousDistinctId, type DistinctId, userDistinctId } from "../identity/distinctId.ts"
import {
  type AliasStatement,
  aliasStatementOf,
  joinLinks,
  joinStatements,
  type Link,
  linkOf,
  statementKey,
} from "../identity/links.ts"
import type { Batch } from "../log/batch.ts"
import type { Fact, FactRow } from "../measure/Fact.ts"
import type { Measure } from "../measure/Measure.ts"
import { Observations } from "../measure/Observations.ts"
import { eventKey } from "../measure/points.ts"
import type { Day } from "../time/calendar.ts"
import type { TimeZone } from "../time/TimeZone.ts"
import { BatchCursor } from "./BatchCursor.ts"
import { CellSums } from "./CellSums.ts"

/** An event that a measure could not fold; everything else of it counts. */
export interface FoldFailure {
  readonly partition: number
  readonly sequence: number
  readonly place: number
  readonly metric: string
  readonly cause: string
}

/** How many events went where; the balance accepted = projected + duplicates holds at every commit. */
export interface FoldCounts {
  projected: number
  duplicates: number
  conflicts: number
  personless: number
}

/** What is known of one distinct id from the batches folded so far. */
export class Gathered {
  readonly distinctId: DistinctId
  link: Link | null = null
  /** Whether any measure observed something of it. */
  gains = false
  /** Its number among the owners of observations. */
  readonly number: number
  readonly #observations: ReadonlyArray<Observations>

  constructor(distinctId: DistinctId, number: number, observations: ReadonlyArray<Observations>) {
    this.distinctId = distinctId
    this.number = number
    this.#observations = observations
  }

  /** What a measure, by its place among those given, observed of it. */
  factOf(m: number): Fact {
    return this.#observations[m]!.factOf(this.number)
  }

  /** The rows of the same fact, made when they are asked for; `null` where nothing was observed. */
  rowsOf(m: number): Iterable<FactRow> | null {
    return this.#observations[m]!.rowsOf(this.number)
  }
}

/**
 * Folds batches into facts, links, statements and tallies: the pure first half of a projector's step. It knows no
 * database: what the batches say is gathered per distinct id and joined with what was known in `settle`.
 */
export class Fold {
  readonly measures: ReadonlyArray<Measure>
  readonly gathered = new Map<DistinctId, Gathered>()
  readonly statements = new Map<string, AliasStatement>()
  readonly tallies: ReadonlyArray<CellSums>
  /** Per local day: `accepted`, `activity`, `late`, `duplicates`, `personless`; `unknown-kind` for each such kind. */
  readonly intake = new CellSums()
  readonly failures: Array<FoldFailure> = []
  readonly counts: FoldCounts = { projected: 0, duplicates: 0, conflicts: 0, personless: 0 }
  /** The same as `gathered`, by the ids as batches have them: most of what is looked up is known. */
  readonly #users = new Map<string, Gathered>()
  readonly #devices = new Map<string, Gathered>()
  /** Per measure. */
  readonly #observations: ReadonlyArray<Observations>
  readonly #zone: TimeZone

  constructor(measures: ReadonlyArray<Measure>, zone: TimeZone) {
    this.measures = measures
    this.tallies = measures.map(() => new CellSums())
    this.#observations = measures.map(() => new Observations())
    this.#zone = zone
  }

  /** Takes in one batch, without the places that `duplicates` names; nothing even looks at those that are `isolated`. */
  add(
    partition: number,
    sequence: number,
    batch: Batch,
    duplicates: ReadonlySet<number>,
    isolated?: ReadonlySet<number>,
  ): void {
    const cursor = new BatchCursor(batch)
    const intake = new DayIntake(this.intake)
    const plans = new Map<number, ReadonlyArray<number>>()
    const ofUser: Array<Gathered | undefined> = []
    const ofAnonymous: Array<Gathered | undefined> = []
    for (let place = 0; place < batch.count; place++) {
      if (isolated?.has(place) === true) continue
      cursor.moveTo(place)
      const time = batch.times[place]!
      const day = this.#zone.dayOf(time)
      intake.moveTo(day)
      if (duplicates.has(place)) {
        this.counts.duplicates++
        intake.duplicates++
        continue
      }
      this.counts.projected++
      intake.accepted++
      const kind = batch.kind(place)
      if (isActivity(kind)) intake.activity++
      else if (!isKnownKind(kind)) this.intake.add(day, kind, "unknown-kind", 1)
      const receivedAt = batch.receivedAt(place)
      if (receivedAt !== null && this.#zone.dayOf(receivedAt) > day) intake.late++

      const user = batch.userIndex(place)
      const anonymous = batch.anonymousIndex(place)
      const owner =
        user >= 0
          ? (ofUser[user] ??= this.#user(batch.users[user]!))
          : anonymous >= 0
            ? (ofAnonymous[anonymous] ??= this.#device(batch.anonymous[anonymous]!))
            : null
      if (owner === null) {
        this.counts.personless++
        intake.personless++
      }
      const link = user >= 0 && anonymous >= 0 ? linkOf(cursor) : null
      if (link !== null) {
        const device = (ofAnonymous[anonymous] ??= this.#device(batch.anonymous[anonymous]!))
        device.link = joinLinks(device.link, link)
      }
      if (kind === "alias" || kind === "unalias") this.#state(aliasStatementOf(cursor))

      const name = batch.nameIndex(place)
      const planKey = numberOf(EVENT_KINDS, kind) * batch.names.length + name
      let plan = plans.get(planKey)
      if (plan === undefined) {
        plan = this.#plan(batch.names[name]!, kind)
        plans.set(planKey, plan)
      }
      for (const m of plan) {
        const measure = this.measures[m]!
        try {
          const observation = owner === null ? null : measure.observe(cursor)
          // Tallied first: when either throws, nothing of the event is in this measure.
          const tally = this.tallies[m]!
          measure.tally?.(cursor, day, tally.add, tally.addDecimal)
          if (owner !== null && observation !== null) {
            const { value, label } = observation
            const observations = this.#observations[m]!
            if (measure.keepsPoints || user < 0) {
              observations.addPoint(owner.number, value, day, time, eventKey(partition, sequence, place), label)
            } else {
              observations.addDay(owner.number, value, day)
            }
            owner.gains = true
          }
        } catch (cause) {
          const metric = measure.definition.name
          this.failures.push({ partition, sequence, place, metric, cause: String(cause) })
        }
      }
    }
    intake.end()
  }

  #user(id: string): Gathered {
    return this.#users.get(id) ?? this.#gather(userDistinctId(id), this.#users, id)
  }

  #device(id: string): Gathered {
    return this.#devices.get(id) ?? this.#gather(anonymousDistinctId(id), this.#devices, id)
  }

  #gather(distinctId: DistinctId, known: Map<string, Gathered>, id: string): Gathered {
    const gathered = new Gathered(distinctId, this.gathered.size, this.#observations)
    this.gathered.set(distinctId, gathered)
    known.set(id, gathered)
    return gathered
  }

  #state(statement: AliasStatement | null): void {
    if (statement === null) return
    this.#user(statement.first)
    this.#user(statement.second)
    const key = statementKey(statement)
    const known = this.statements.get(key)
    this.statements.set(key, known === undefined ? statement : joinStatements(known, statement))
  }

  #plan(name: string, kind: EventKind): ReadonlyArray<number> {
    return this.measures.flatMap((measure, m) => (measure.concerns(name, kind) ? [m] : []))
  }
}

/** Numbers of the intake of one day at a time, which most events of a batch share. */
class DayIntake {
  accepted = 0
  activity = 0
  late = 0
  duplicates = 0
  personless = 0
  readonly #sums: CellSums
  #day: Day = 0

  constructor(sums: CellSums) {
    this.#sums = sums
  }

  moveTo(day: Day): void {
    if (day === this.#day) return
    this.end()
    this.#day = day
  }

  /** Adds what was counted since the day began. */
  end(): void {
    const { accepted, activity, late, duplicates, personless } = this
    for (const [stat, count] of Object.entries({ accepted, activity, late, duplicates, personless })) {
      if (count > 0) this.#sums.add(this.#day, "", stat, count)
    }
    this.accepted = this.activity = this.late = this.duplicates = this.personless = 0
  }
}
