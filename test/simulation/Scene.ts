import type { Effect, Exit } from "effect"
import type { Event } from "../../src/domain/event/Event.ts"
import type { Random } from "../../src/domain/simulate/random.ts"
import type { Books } from "./Books.ts"
import type { Products, Servers } from "./processes.ts"
import type { World } from "./World.ts"

/** What the end of a seed is played with: the servers as its phases left them, and one process at a time. */
export interface Scene {
  readonly world: World
  readonly servers: Servers
  readonly books: Books
  /** Events that were not written yet. */
  readonly tail: ReadonlyArray<Event>
  readonly random: Random
  readonly runAlone: <A, E>(name: string, program: Effect.Effect<A, E, Products>) => Exit.Exit<A, E>
  /** Projects what there is, and compares with the oracle. */
  readonly quiet: () => void
  readonly met: (what: string) => void
}

/** Errors that name damage; any other means that it was not noticed as what it is. */
export const NAMES_DAMAGE: ReadonlyArray<string> = ["LogDamaged", "PositionDiverged"]

/** The same events under ids that no history has. */
export const renamed = (events: ReadonlyArray<Event>, prefix: string): ReadonlyArray<Event> =>
  events.map((event) => ({ ...event, id: `${prefix}-${event.id}` }))

/** Events for every partition, so that a writer's chain goes on in each. */
export const everywhere = (tail: ReadonlyArray<Event>, prefix: string): ReadonlyArray<Event> =>
  Array.from({ length: 24 }, (_, n) => ({
    ...tail[0]!,
    id: `${prefix}-${n}`,
    kind: "track" as const,
    name: "click",
    userId: `user ${n}`,
    anonymousId: null,
  }))
