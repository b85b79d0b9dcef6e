import { randomUUID } from "node:crypto"
import { Clock, Context, Data, Duration, Effect, Layer, Result, Schedule, Semaphore } from "effect"
import { admit, type Rejection } from "../domain/event/admit.ts"
import { EVENT_BYTES_MAX } from "../domain/event/size.ts"
import type { Event, EventKind } from "../domain/event/Event.ts"
import type { Json } from "../domain/event/json.ts"
import { TimeZone } from "../domain/time/TimeZone.ts"
import { type AppendError, LogWriter } from "./LogWriter.ts"
import type { SpoolFull } from "./spool/errors.ts"

/** Who did it, when, and whatever else comes with it. */
export interface Occasion {
  readonly userId?: string | undefined
  readonly anonymousId?: string | undefined
  readonly sessionId?: string | undefined
  /** When it happened; now, if not given. A string is ISO 8601, a number ms since 1970. */
  readonly timestamp?: Date | string | number | undefined
  /** An id of your own: repeats of it count once. */
  readonly id?: string | undefined
  readonly context?: Readonly<Record<string, unknown>> | undefined
}

export interface Track extends Occasion {
  readonly event: string
  readonly properties?: Readonly<Record<string, unknown>> | undefined
}

export interface Page extends Occasion {
  readonly name?: string | undefined
  readonly properties?: Readonly<Record<string, unknown>> | undefined
}

export interface Identify extends Occasion {
  readonly userId: string
  readonly traits?: Readonly<Record<string, unknown>> | undefined
}

export interface Group extends Occasion {
  readonly groupId: string
  readonly traits?: Readonly<Record<string, unknown>> | undefined
}

/** Two user ids of one person. */
export interface Alias extends Occasion {
  readonly previousId: string
  readonly userId: string
}

/** An event that can't be one: it was not accepted, and is kept nowhere. */
export class EventRejected extends Data.TaggedError("EventRejected")<Rejection> {
  override get message(): string {
    return `The event was not accepted (${this.reason}): ${this.detail}`
  }
}

/** The log can't be written, and the tracker holds as many events as it may. */
export class TrackerFull extends Data.TaggedError("TrackerFull")<{ readonly held: number }> {
  override get message(): string {
    return `The event was not accepted: ${this.held} events are waiting for a log that can't be written. Try again when it can.`
  }
}

export interface TrackerOptions {
  /** Events that are appended together. Default 100. */
  readonly batchSize?: number
  /** How long an event waits for its batch to fill, ms. Default 5,000. */
  readonly flushIntervalMillis?: number
  /** Events held at most while the log can't be written. Default 10,000. */
  readonly queueMax?: number
}

type TrackError = EventRejected | TrackerFull

/**
 * Takes events from the program around it. An event is accepted when the call returns, and durable when its batch is
 * flushed: when it is full, when the interval is over, on `flush` and on close. A log that can't be written does not fail
 * the call, since the event is held and goes to the log later: a caller who tried again would have it counted twice.
 */
export class Tracker extends Context.Service<
  Tracker,
  {
    readonly track: (event: Track) => Effect.Effect<void, TrackError>
    readonly page: (page: Page) => Effect.Effect<void, TrackError>
    readonly screen: (screen: Page) => Effect.Effect<void, TrackError>
    readonly identify: (identity: Identify) => Effect.Effect<void, TrackError>
    readonly group: (group: Group) => Effect.Effect<void, TrackError>
    readonly alias: (alias: Alias) => Effect.Effect<void, TrackError>
    /** Takes an alias back. */
    readonly unalias: (alias: Alias) => Effect.Effect<void, TrackError>
    /** Appends everything accepted so far; when it returns, that is durable. */
    readonly flush: Effect.Effect<void, AppendError | SpoolFull>
  }
>()("tidemark/app/Tracker") {
  static readonly layer = (options: TrackerOptions = {}): Layer.Layer<Tracker, never, LogWriter> =>
    Layer.unwrap(Effect.map(LogWriter, ({ append }) => Tracker.layerTo(append, options)))

  /** A tracker that hands its batches to another than the log's writer. */
  static readonly layerTo = (
    append: (events: ReadonlyArray<Event>) => Effect.Effect<unknown, AppendError | SpoolFull>,
    options: TrackerOptions = {},
  ): Layer.Layer<Tracker> =>
    Layer.effect(
      Tracker,
      Effect.gen(function* () {
        const { batchSize = 100, flushIntervalMillis = 5000, queueMax = 10_000 } = options
        const turn = yield* Semaphore.make(1)
        let waiting: Array<Event> = []
        /** Events that are being appended. */
        let underway = 0

        const flush = turn.withPermit(
          Effect.gen(function* () {
            const events = waiting
            if (events.length === 0) return
            waiting = []
            underway = events.length
            // What could not be appended goes back to the front, in order.
            yield* append(events).pipe(
              Effect.onError(() =>
                Effect.sync(() => {
                  waiting = [...events, ...waiting]
                }),
              ),
              Effect.ensuring(
                Effect.sync(() => {
                  underway = 0
                }),
              ),
            )
          }).pipe(Effect.uninterruptible),
        )
        const flushOrWarn = flush.pipe(Effect.catch((error) => Effect.logWarning(error.message)))

        const accept = Effect.fnUntraced(function* (type: EventKind, input: object) {
          const now = yield* Clock.currentTimeMillis
          const event = yield* Effect.fromResult(admitTracked(type, input, now))
          const held = waiting.length + underway
          if (held >= queueMax) return yield* new TrackerFull({ held })
          waiting.push(event)
          // While the log fails, it is tried once a batch and not once an event.
          if (waiting.length % batchSize === 0) yield* flushOrWarn
        })

        yield* Effect.addFinalizer(() =>
          Effect.catch(flush, (error) =>
            Effect.logError(`${waiting.length} tracked events are lost: ${error.message}`),
          ),
        )
        yield* flushOrWarn.pipe(Effect.repeat(Schedule.spaced(Duration.millis(flushIntervalMillis))), Effect.forkScoped)

        return Tracker.of({
          track: (event) => accept("track", event),
          page: (page) => accept("page", page),
          screen: (screen) => accept("screen", screen),
          identify: (identity) => accept("identify", identity),
          group: (group) => accept("group", group),
          alias: (alias) => accept("alias", alias),
          unalias: (alias) => accept("unalias", alias),
          flush,
        })
      }),
    )
}

/** Admits what a program handed over: first made into the JSON that it would be on a wire, so that nothing else gets in. */
const admitTracked = (type: EventKind, input: object, now: number): Result.Result<Event, EventRejected> =>
  Result.gen(function* () {
    const text = yield* Result.try({
      try: () => JSON.stringify({ timestamp: now, ...input, type }),
      catch: (cause) =>
        new EventRejected({ reason: "not-json", detail: `It can't be written as JSON: ${firstLine(cause)}.` }),
    })
    const size = Buffer.byteLength(text)
    if (size > EVENT_BYTES_MAX) {
      const detail = `It has ${size} bytes as JSON, and at most ${EVENT_BYTES_MAX} are taken.`
      return yield* Result.fail(new EventRejected({ reason: "too-large", detail }))
    }
    const admitted = admit(JSON.parse(text) as Json, {
      now,
      mode: "client",
      skew: "off",
      zone: TimeZone.utc,
      fallbackId: randomUUID,
    })
    return yield* Result.mapError(admitted, (rejection) => new EventRejected(rejection))
  })

/** What an exception says, without the drawing that some engines add. */
const firstLine = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).split("\n")[0]!
