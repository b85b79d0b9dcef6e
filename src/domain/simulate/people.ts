import type { Day } from "../time/calendar.ts"
import { type Device, makeDevice } from "./Device.ts"
import { type Place, PLACES } from "./places.ts"
import type { Feature } from "./product.ts"
import type { Random } from "./random.ts"
import { weekdayFactor } from "./rhythm.ts"

/** A simulated human, as far as the next days depend on the last. */
export interface Person {
  readonly place: Place
  readonly arrivedOn: Day
  /** The first is the usual one; a second, if any, is signed in later. */
  readonly devices: readonly [usual: Device, second?: Device]
  /** `bouncer`: looks and leaves; `visitor`: may sign up; `member`: has a user id. */
  stage: "bouncer" | "visitor" | "member"
  userId: string | null
  /** Chance of being active on a working day while the product is still new to them. */
  readonly eagerness: number
  /** The features that they come for. */
  readonly favourites: Array<Feature>
  visits: number
  /** The product gives them another user id at this visit (an alias); `0` for nearly everyone. */
  readonly renamedAtVisit: number
  /** End of their last session, true time. */
  busyUntil: number
}

const BOUNCER_SHARE = 0.33
const SECOND_DEVICE_SHARE = 0.65
const SHARED_DEVICE_SHARE = 0.03
const RENAMED_SHARE = 0.015
/** Share of those who were members before the first day and are still signed in. */
const STILL_SIGNED_IN = 0.8

/** Makes the people, and the user ids, which count up. */
export class Population {
  readonly #random: Random
  #lastUserNumber = 1000
  /** The usual device of the last member who arrived, which somebody of the same household may use too. */
  #familyDevice: Device | undefined

  constructor(random: Random) {
    this.#random = random
  }

  nextUserId(): string {
    this.#lastUserNumber++
    return `u${this.#lastUserNumber}`
  }

  /** Somebody who hears of the product for the first time. */
  newcomer(day: Day): Person {
    const stage = this.#random.chance(BOUNCER_SHARE) ? "bouncer" : "visitor"
    return this.#person(day, stage, null)
  }

  /** Somebody who became a member before the simulation begins. */
  member(day: Day): Person {
    const person = this.#person(day, "member", this.nextUserId())
    const [device] = person.devices
    if (device.signedInAs === null && this.#random.chance(STILL_SIGNED_IN)) device.signedInAs = person.userId
    this.#familyDevice = device
    return person
  }

  #person(day: Day, stage: Person["stage"], userId: string | null): Person {
    const random = this.#random
    const shares = stage !== "bouncer" && this.#familyDevice !== undefined && random.chance(SHARED_DEVICE_SHARE)
    const first = shares ? this.#familyDevice! : makeDevice(random)
    return {
      place: PLACES.pick(random),
      arrivedOn: day,
      devices: stage !== "bouncer" && random.chance(SECOND_DEVICE_SHARE) ? [first, makeDevice(random)] : [first],
      stage,
      userId,
      eagerness: random.skewed(0.16, 0.95),
      favourites: [],
      visits: 0,
      renamedAtVisit: random.chance(RENAMED_SHARE) ? random.between(2, 4) : 0,
      busyUntil: 0,
    }
  }
}

/** Chance that a person comes on a later day than that of their arrival: it decays, but never to nothing. */
export const chanceOfVisit = (person: Person, day: Day): number => {
  const age = day - person.arrivedOn
  switch (person.stage) {
    case "bouncer":
      return 0.01
    case "visitor":
      return 0.25 / (1 + age / 2)
    case "member":
      return person.eagerness * weekdayFactor(day) * (0.45 + 0.55 / (1 + age / 6))
  }
}

/** Chance that a person never comes again after a day. */
export const chanceOfLeaving = (person: Person): number => {
  switch (person.stage) {
    case "bouncer":
      return 0.5
    case "visitor":
      return 0.12
    case "member":
      return 0.012 * (1 - person.eagerness)
  }
}
