import { type Day, MILLIS_PER_DAY, parseDay } from "../time/calendar.ts"
import { play, type Today } from "./behaviour.ts"
import { Delivery } from "./Delivery.ts"
import { chanceOfLeaving, chanceOfVisit, type Person, Population } from "./people.ts"
import { featuresOn } from "./product.ts"
import { Random } from "./random.ts"
import type { RawEvent } from "./RawEvent.ts"
import { arrivalsPerDay, startOfSession } from "./rhythm.ts"
import { type Scene, Session } from "./Session.ts"

export interface SimulateOptions {
  /** People who show up at least once, members from before included. */
  readonly users: number
  readonly days: number
  /** Any safe integer. */
  readonly seed: number
  /** First day, `YYYY-MM-DD`, UTC; default 2026-01-05, a Monday. */
  readonly start?: string
}

export const SIMULATION_START = "2026-01-05"

const SESSIONS_MAX = 6

export const simulate = (options: SimulateOptions): Generator<RawEvent> => {
  const first = parseDay(options.start ?? SIMULATION_START)
  if (first === undefined || first < 0) {
    throw new RangeError(`The start must be a date from 1970 on, such as ${SIMULATION_START}.`)
  }
  if (!Number.isSafeInteger(options.users) || options.users < 0) throw new RangeError("users must be a whole number ≥ 0.")
  if (!Number.isSafeInteger(options.days) || options.days < 1) throw new RangeError("days must be a whole number ≥ 1.")
  if (!Number.isSafeInteger(options.seed)) throw new RangeError("The seed must be a whole number.")
  return generate(options.users, options.days, options.seed, first)
}

function* generate(users: number, days: number, seed: number, first: Day): Generator<RawEvent> {
  const random = new Random(seed)
  const population = new Population(random)
  const delivery = new Delivery(random)
  const scene: Scene = { random, delivery, end: (first + days) * MILLIS_PER_DAY }
  const arrivals = arrivalsPerDay(users, days, first)
  let people: Array<Person> = []

  for (let dayIndex = 0; dayIndex < days; dayIndex++) {
    const day = first + dayIndex
    const today: Today = { dayIndex, days, features: featuresOn(dayIndex, days), random, population }
    for (const person of people) {
      if (random.chance(chanceOfVisit(person, day))) spendDay(person, day, today, scene)
    }
    const { members, newcomers } = arrivals[dayIndex]!
    const arrived = [
      ...Array.from({ length: members }, () => population.member(day)),
      ...Array.from({ length: newcomers }, () => population.newcomer(day)),
    ]
    for (const person of arrived) spendDay(person, day, today, scene)
    people = [...people, ...arrived].filter((person) => !random.chance(chanceOfLeaving(person)))
    yield* delivery.take(day)
  }
  yield* delivery.takeAll()
}

/** One or more sessions of a person within a day, one after another. */
const spendDay = (person: Person, day: Day, today: Today, scene: Scene): void => {
  const { random } = scene
  const starts = [startOfSession(random, person.place, day)]
  while (starts.length < SESSIONS_MAX && person.stage === "member" && random.chance(person.eagerness / 2)) {
    starts.push(startOfSession(random, person.place, day))
  }
  for (const planned of starts.sort((a, b) => a - b)) {
    const [usual, second] = person.devices
    const device = second !== undefined && person.visits > 0 && random.chance(0.35) ? second : usual
    const start = Math.max(planned, person.busyUntil, device.busyUntil)
    const session = new Session(scene, device, person.place, start)
    person.visits++
    play(session, person, today)
    // Nobody is back at once: what follows at the same device or by the same person is another session to them.
    const free = session.now + random.between(1, 45) * 60_000
    person.busyUntil = free
    device.busyUntil = free
  }
}
