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
/** Share of people whose usual device is also that of one more person. */
const SHARING_SHARE = 0.03
const RENAMED_SHARE = 0.015
/** Share of those who were members before the first day and are still signed in. */
const STILL_SIGNED_IN = 0.8

/** Makes the people, and the user ids, which count up. */
export class Population {
  readonly #random: Random
  #lastUserNumber = 1000
  /** Somebody who lives with the next person that is made, and shares the usual device with them. */
  #housemate: Person | undefined

  constructor(random: Random) {
    this.#random = random
  }

  nextUserId(): string {
    this.#lastUserNumber++
    return `u${this.#lastUserNumber}`
  }

  /** Somebody who hears of the product for the first time. */
  newcomer(day: Day): Person {
    return this.#random.chance(BOUNCER_SHARE) ? this.#bouncer(day) : this.#user(day, "visitor", null)
  }

  /** Somebody who became a member before the simulation begins. */
  member(day: Day): Person {
    const person = this.#user(day, "member", this.nextUserId())
    const [device] = person.devices
    if (device.signedInAs === null && this.#random.chance(STILL_SIGNED_IN)) device.signedInAs = person.userId
    return person
  }

  #bouncer(day: Day): Person {
    return this.#person(day, "bouncer", null, PLACES.pick(this.#random), [makeDevice(this.#random)])
  }

  #user(day: Day, stage: "visitor" | "member", userId: string | null): Person {
    const random = this.#random
    const housemate = this.#housemate
    const usual = housemate?.devices[0] ?? makeDevice(random)
    const person = this.#person(
      day,
      stage,
      userId,
      housemate?.place ?? PLACES.pick(random),
      random.chance(SECOND_DEVICE_SHARE) ? [usual, makeDevice(random)] : [usual],
    )
    this.#housemate = housemate === undefined && random.chance(SHARING_SHARE) ? person : undefined
    return person
  }

  #person(
    arrivedOn: Day,
    stage: Person["stage"],
    userId: string | null,
    place: Place,
    devices: Person["devices"],
  ): Person {
    return {
      place,
      arrivedOn,
      devices,
      stage,
      userId,
      eagerness: this.#random.skewed(0.16, 0.95),
      favourites: [],
      visits: 0,
      renamedAtVisit: this.#random.chance(RENAMED_SHARE) ? this.#random.between(2, 4) : 0,
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
