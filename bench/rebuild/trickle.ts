import { randomUUID } from "node:crypto"
import { Effect, Schedule } from "effect"
import { LogWriter } from "../../src/app/LogWriter.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import type { Position } from "../../src/domain/log/position.ts"
import { Operations } from "../../src/domain/projection/Operations.ts"
import { LIVE_GROUP } from "../../src/domain/projection/ReadModel.ts"
import { dataset } from "../servers/data.ts"
import { percentiles, round } from "../servers/timing.ts"

const BATCH_EVENTS = 50
/** Between two batches, ms: 500 events a second. */
const PAUSE_MILLIS = 100
/** Between two looks, ms. */
export const LOOK_MILLIS = 100
/** Events of one round: its persons begin on their devices and sign up in the course of it. */
const ROUND_EVENTS = 5_000

/** What one look found. */
interface Look {
  /** ms of `performance.now` */
  readonly at: number
  /** Age of the oldest event that was accepted and that the default group has not projected, ms; 0 where there is none. */
  readonly lag: number
  readonly building: boolean
  /** Whether the default group stands still for a build to be taken over. */
  readonly still: boolean
}

/** Appends 500 events a second until its scope ends, and looks all the while how far the default group is behind. */
export const trickle = Effect.gen(function* () {
  const writer = yield* LogWriter
  const operations = yield* Operations
  const events = newEvents()
  const looks: Array<Look> = []
  let appended = 0
  /** Accepted and not projected, oldest first. */
  let waiting: Array<Position & { readonly acceptedAt: number }> = []

  const append = Effect.gen(function* () {
    const positions = yield* writer.append(Array.from({ length: BATCH_EVENTS }, () => events.next().value))
    const acceptedAt = performance.now()
    for (const position of positions) waiting.push({ ...position, acceptedAt })
    appended += BATCH_EVENTS
  })
  const look = Effect.gen(function* () {
    const { ownerships, groups, pauses } = yield* operations.look
    const at = performance.now()
    const live = new Map(ownerships.flatMap((it) => (it.group === LIVE_GROUP ? [[it.partition, it.sequence]] : [])))
    waiting = waiting.filter(({ partition, sequence }) => sequence > (live.get(partition) ?? 0))
    const lag = waiting.length === 0 ? 0 : at - waiting[0]!.acceptedAt
    looks.push({
      at,
      lag,
      building: groups.some((group) => group !== LIVE_GROUP),
      still: pauses.some(({ cause }) => cause === "takeover"),
    })
  })
  yield* append.pipe(Effect.repeat(Schedule.fixed(PAUSE_MILLIS)), Effect.forkScoped)
  yield* look.pipe(Effect.repeat(Schedule.spaced(LOOK_MILLIS)), Effect.forkScoped)
  return { appended: () => appended, looks }
})

/** For ever, each round of the persons of the data set or of as many new ones, in turn. */
function* newEvents(): Generator<Event, never> {
  for (let n = 0; ; n++) {
    const named = (id: string | null) => (id === null || n % 2 === 0 ? id : `${id}-${n}`)
    for (const event of dataset(ROUND_EVENTS)) {
      yield { ...event, id: randomUUID(), userId: named(event.userId), anonymousId: named(event.anonymousId) }
    }
  }
}

/** The lag that was seen between two moments. */
export const lagBetween = (looks: ReadonlyArray<Look>, from: number, to: number) => {
  const lags = looks.filter(({ at }) => at >= from && at <= to).map(({ lag }) => lag)
  return lags.length === 0 ? null : { ...percentiles(lags), maxMillis: round(Math.max(...lags), 2) }
}
