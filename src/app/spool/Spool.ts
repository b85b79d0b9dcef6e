import { Context, Effect, Layer, Schedule, Scope, Semaphore } from "effect"
import type { Event } from "../../domain/event/Event.ts"
import { EventLog } from "../../domain/log/EventLog.ts"
import { openSpoolFile } from "../../infra/embedded/SpoolFile.ts"
import { type AppendError, LogWriter } from "../LogWriter.ts"
import { drainAll, drainOne } from "./drain.ts"
import { NotDrained, SpoolFull, type SpoolUnavailable } from "./errors.ts"
import { leftSlots, openSlot } from "./slots.ts"

export interface SpoolOptions {
  /** Where events wait; processes of one machine can share it. */
  readonly directory: string
  /** Bytes that wait at most. */
  readonly maxBytes: number
}

/** Reaches the log: fails while it is away. */
export type Connect<E> = Effect.Effect<LogWriter["Service"], E, Scope.Scope>

/** From one attempt to send what waits to the next. */
const RETRY = "1 second"

/** From one look for what other processes left behind to the next. */
const ADOPTION = "30 seconds"

/**
 * Where events wait while the log is away: an embedded log, so they are as durable as there. When the log is back they
 * follow in their order, and what comes meanwhile stands behind them.
 */
export class Spool extends Context.Service<
  Spool,
  {
    /** Appends events to the log, or where they wait for it; returns when they are durable. */
    readonly append: (events: ReadonlyArray<Event>) => Effect.Effect<void, AppendError | SpoolFull>
    /** Sends what waits, now. Succeeds when nothing waits any more. */
    readonly drain: Effect.Effect<void, NotDrained>
    /** Bytes that wait. */
    readonly waiting: Effect.Effect<number>
  }
>()("tidemark/app/spool/Spool") {
  /**
   * `connect` is tried until it succeeds once; what it opens stays open as long as the layer. When it fails at the start
   * so that it can't pass by itself, that is the layer's failure.
   */
  static readonly layer = <E extends { readonly _tag: string; readonly message: string }>(
    { directory, maxBytes }: SpoolOptions,
    connect: Connect<E>,
    mayPass: (error: E) => boolean,
  ): Layer.Layer<Spool, SpoolUnavailable | E> =>
    Layer.effect(
      Spool,
      Effect.gen(function* () {
        const scope = yield* Effect.scope
        const slot = yield* openSlot(directory)
        const { file } = slot
        const waitingRoom = yield* LogWriter.make.pipe(Effect.provideService(EventLog, file.log))
        const turn = yield* Semaphore.make(1)
        const draining = yield* Semaphore.make(1)
        let connected: LogWriter["Service"] | null = null
        /** Whether events wait: then those that come wait behind them. */
        let waits = file.bytes() > 0

        const writer = Effect.gen(function* () {
          connected ??= yield* connect.pipe(Scope.provide(scope))
          return connected
        })

        yield* writer.pipe(
          Effect.catchIf(mayPass, ({ message }) =>
            Effect.logWarning(`The log is away, so events wait in ${slot.directory}: ${message}`),
          ),
        )

        const keep = Effect.fnUntraced(function* (events: ReadonlyArray<Event>) {
          if (file.bytes() >= maxBytes) return yield* new SpoolFull({ directory: slot.directory, maxBytes })
          yield* waitingRoom.append(events)
          yield* file.grown
          waits = true
        })

        const append = (events: ReadonlyArray<Event>) =>
          turn.withPermit(
            Effect.gen(function* () {
              if (events.length === 0) return
              if (waits) return yield* keep(events)
              yield* Effect.flatMap(writer, (log) => log.append(events)).pipe(
                Effect.asVoid,
                Effect.catch((error: AppendError | E) =>
                  Effect.andThen(
                    Effect.logWarning(`Events wait in ${slot.directory} from now on: ${error.message}`),
                    keep(events),
                  ),
                ),
              )
            }).pipe(Effect.uninterruptible),
          )

        /** Nothing waits any more, unless events have come meanwhile. */
        const endWaiting = Effect.gen(function* () {
          if ((yield* file.next) !== null) return
          yield* file.clear
          waits = false
          yield* Effect.logInfo(`All events that waited in ${slot.directory} are in the log.`)
        })

        /** Sends one batch. Those that come meanwhile don't wait for a log that doesn't answer: they stand behind what waits. */
        const drainSome = draining.withPermit(
          Effect.gen(function* () {
            if (!waits) return false
            if (!(yield* drainOne(file, yield* writer))) yield* turn.withPermit(endWaiting)
            return waits
          }).pipe(Effect.uninterruptible),
        )
        const drain = Effect.repeat(drainSome, { while: (more) => more }).pipe(
          Effect.mapError(({ message }: AppendError | E) => new NotDrained({ bytes: file.bytes(), reason: message })),
          Effect.asVoid,
        )

        /** Sends what processes left behind that ended while the log was away. */
        const adopt = Effect.gen(function* () {
          const log = connected
          if (log === null) return
          for (const left of leftSlots(directory, slot.directory)) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const found = yield* openSpoolFile(left)
                if (found.bytes() > 0) yield* drainAll(found, log)
              }),
              // Of a process that lives, or not to be sent now.
            ).pipe(Effect.ignore)
          }
        })

        yield* drain.pipe(Effect.ignore, Effect.repeat(Schedule.spaced(RETRY)), Effect.forkScoped)
        yield* adopt.pipe(Effect.repeat(Schedule.spaced(ADOPTION)), Effect.forkScoped)
        return Spool.of({ append, drain, waiting: Effect.sync(file.bytes) })
      }),
    )
}
