import type { Person, Population } from "./people.ts"
import {
  type Article,
  ARTICLES,
  ELEMENTS,
  ERRORS,
  type Feature,
  LANDING_PAGES,
  MEMBER_PAGES,
  PAGE,
  PUBLIC_PAGES,
  versionOn,
} from "./product.ts"
import { type Random, Weighted } from "./random.ts"
import type { Session } from "./Session.ts"

/** What people's choices on one day depend on. */
export interface Today {
  readonly dayIndex: number
  /** Days of the whole simulation. */
  readonly days: number
  readonly features: Weighted<Feature>
  readonly random: Random
  readonly population: Population
}

/** Plays a session from the first event to the last. */
export const play = (session: Session, person: Person, today: Today): void => {
  const { random } = today
  const { device } = session
  if (device.signedInAs !== null && device.signedInAs !== person.userId) {
    // Somebody else's turn at a shared device.
    session.signOut()
    session.pause(5)
  }
  if (person.userId === null) {
    visitAnonymously(session, person, today)
    return
  }
  if (device.signedInAs === null) signIn(session, person.userId)
  if (person.visits === person.renamedAtVisit) rename(session, person, person.userId, today)
  useProduct(session, person, today, random.skewed(3.1, 60))
  if (random.chance(0.05)) {
    session.pause(4)
    session.signOut()
  }
}

const visitAnonymously = (session: Session, person: Person, today: Today): void => {
  const { random } = today
  session.page(LANDING_PAGES.pick(random))
  if (person.stage === "bouncer") {
    if (random.chance(0.2)) {
      session.pause(12)
      session.page(PUBLIC_PAGES.pick(random))
    }
    return
  }
  for (let more = random.between(0, 3); more > 0; more--) {
    session.pause(20)
    session.page(PUBLIC_PAGES.pick(random))
  }
  if (random.chance(0.85)) signUp(session, person, today)
}

/** The way to an account, which people leave at every step. */
const signUp = (session: Session, person: Person, today: Today): void => {
  const { random, population } = today
  session.pause(15)
  session.page(PAGE.signup)
  if (random.chance(0.15)) return
  session.pause(8)
  session.track("click", { element_id: "signup_button" })
  if (random.chance(0.12)) return
  session.pause(35)
  session.track("submit", { form_name: "signup" })
  if (random.chance(0.06)) {
    session.pause(1)
    session.track("error", { error_type: "ValidationError", error_message: "This address has an account" })
    return
  }
  session.pause(1)
  session.track("sign_up", { method: random.chance(0.7) ? "password" : "google" })
  person.userId = population.nextUserId()
  person.stage = "member"
  session.signInAs(person.userId)
  session.pause(3)
  session.page(PAGE.app)
  useProduct(session, person, today, random.skewed(6, 40))
}

const signIn = (session: Session, userId: string): void => {
  session.page(PAGE.home)
  session.pause(4)
  session.page(PAGE.signin)
  session.pause(12)
  session.track("submit", { form_name: "signin" })
  session.pause(1)
  // Both are sent by the same line of the product's code, hence at the same millisecond.
  session.signInAs(userId)
  session.track("sign_in", { method: "password" })
}

const rename = (session: Session, person: Person, userId: string, today: Today): void => {
  session.pause(2)
  person.userId = today.population.nextUserId()
  session.alias(userId, person.userId)
}

type Action = (session: Session, person: Person, today: Today) => void

const useProduct = (session: Session, person: Person, today: Today, actions: number): void => {
  for (let done = 0; done < actions; done++) {
    session.pause(22)
    ACTIONS.pick(today.random)(session, person, today)
  }
}

const useFeature: Action = (session, person, today) => {
  const feature = chooseFeature(person, today)
  // A press that starts a feature is reported twice at one millisecond: as the press, and as what it started.
  if (today.random.chance(0.06)) session.track("click", ELEMENTS.pick(today.random))
  session.track("feature_used", {
    feature_name: feature.name,
    feature_version: versionOn(feature, today.dayIndex, today.days),
  })
}

/** People come for a few things; now and then they try another, which may become one of them. */
const chooseFeature = (person: Person, { random, features }: Today): Feature => {
  const { favourites } = person
  if (favourites.length > 0 && random.chance(0.7)) return random.oneOf(favourites)
  const feature = features.pick(random)
  if (!favourites.includes(feature) && random.chance(favourites.length < 3 ? 0.5 : 0.08)) {
    if (favourites.length === 3) favourites.shift()
    favourites.push(feature)
  }
  return feature
}

const viewPage: Action = (session, _person, { random }) => session.page(MEMBER_PAGES.pick(random))

const press: Action = (session, _person, { random }) => session.track("click", ELEMENTS.pick(random))

const submitForm: Action = (session, _person, { random }) =>
  session.track("submit", { form_name: random.chance(0.8) ? "comment" : "invite" })

const fail: Action = (session, _person, { random }) => session.track("error", ERRORS.pick(random))

const buy: Action = (session, person, { random }) => {
  session.page(PAGE.checkout)
  session.pause(45)
  if (random.chance(0.35)) return
  session.track("submit", { form_name: "checkout" })
  session.pause(2)
  const articles = new Set<Article>()
  for (let more = random.between(1, 3); more > 0; more--) articles.add(ARTICLES.pick(random))
  let cents = 0
  const items = []
  for (const article of articles) {
    const quantity = random.chance(0.8) ? 1 : random.between(2, 5)
    cents += quantity * article.cents
    items.push({ sku: article.sku, quantity, price: article.cents / 100 })
  }
  session.track("purchase", {
    purchase_id: `p-${random.hex(3)}`,
    amount: cents / 100,
    currency: person.place.currency,
    items,
  })
}

const ACTIONS = new Weighted<Action>([
  [useFeature, 54],
  [viewPage, 24],
  [press, 13],
  [submitForm, 5],
  [fail, 2.5],
  [buy, 1.5],
])
