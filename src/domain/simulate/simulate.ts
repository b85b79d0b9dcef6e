import { type Day, MILLIS_PER_DAY, parseDay } from "../time/calendar.ts"
import { play, type Today } from "./behaviour.ts"
import { Delivery } from "./Delivery.ts"
import { chanceOfLeaving, chanceOfVisit, type Person, Population } from "./people.ts"
import { featuresOn } from "./product.ts"
import { Random } from "./random.ts"
import type { RawEvent } from "./RawEvent.ts"
import { arrivalsPerDay, startOfSession } from "./rhythm.ts"
import { type Scene, Session } from "./Session.ts"

/** What to simulate. */
export interface SimulateOptions {
  /** People who show up at least once, members from before included. */
  readonly users: number
  readonly days: number
  /** Any safe integer. */
  readonly seed: number
  /** First day, `YYYY-MM-DD`, UTC; default 2026-01-05, a Monday. */
  readonly start?: string
}

/** The first day, unless the options say otherwise: a Monday. */
export const SIMULATION_START = "2026-01-05"

const SESSIONS_MAX = 6

/**
 * The raw events of a made-up product, in order of receipt; the same options give the same bytes, everywhere.
 *
 * Visitors land, bounce or sign up (page `signup`, a click on `signup_button`, a form `signup`, `sign_up`, `identify`),
 * come back ever more seldom, use 20 features of very different popularity, some launched on the way, buy and meet
 * errors, by the day of the week and the local time of where they live. Some use a second device, some share one, some
 * get another user id (`alias`).
 *
 * Of the events, about 2 % are received late (2 hours to 5 days after they happened; else it takes seconds), and 1 % are
 * repeated: the same object again, up to a day later, so that only repetitions are out of order of `receivedAt`. Some
 * clocks are wrong, by seconds to days: `timestamp` and `sentAt` both. Corrected for that, every event lies within the
 * days asked for, in UTC.
 *
 * Expect about 20 events a user in 30 days (12 in 7, 34 in 90), of 340 bytes each as a line of JSON: 50 000 users and 30
 * days give 1.0 M events, 31 k user ids and 58 k devices. The shares of a small run scatter, since a failed sending or a
 * heavy user is many events. Memory holds the people who may come back and one day's events (60 MB for that run), so it
 * grows with `users`, hardly with `days`.
 *
 * @throws RangeError when an option is out of its range
 */
export const simulate = (options: SimulateOptions): Generator<RawEvent> => {
  const first = parseDay(options.start ?? SIMULATION_START)
  if (first === undefined || first < 0) {
    throw new RangeError(`The start must be a date from 1970 on, such as ${SIMULATION_START}.`)
  }
  requireWhole("number of users", options.users, 0)
  requireWhole("number of days", options.days, 1)
  requireWhole("seed", options.seed, Number.MIN_SAFE_INTEGER)
  return generate(options.users, options.days, options.seed, first)
}

const requireWhole = (what: string, value: number, min: number): void => {
  if (!Number.isSafeInteger(value) || value < min)
    throw new RangeError(`The ${what} must be a whole number from ${min}.`)
}

function* generate(users: number, days: number, seed: number, first: Day): Generator<RawEvent> {
  const random = new Random(seed)
  const population = new Population(random)
  const delivery = new Delivery(random)
  const scene: Scene = { random, delivery, end: (first + days) * MILLIS_PER_DAY, sessions: 0 }
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
