import { Context, Effect, Layer } from "effect"
import type { UnknownControlFact } from "../domain/log/errors.ts"
import { EventLog } from "../domain/log/EventLog.ts"
import { ReadModel } from "../domain/projection/ReadModel.ts"
import { ReadModelQueries } from "../domain/projection/ReadModelQueries.ts"
import type { ReadModelUnavailable } from "../domain/projection/errors.ts"
import { activeUsers, type ActiveUsersAnswer, type ActiveUsersInput } from "./query/activeUsers.ts"
import { adoption, type AdoptionAnswer, type AdoptionInput } from "./query/adoption.ts"
import type { BadQuery } from "./query/errors.ts"
import { events, type EventsAnswer, type EventsInput } from "./query/events.ts"
import { funnel, type FunnelAnswer, type FunnelInput } from "./query/funnel.ts"
import { metric } from "./query/metric.ts"
import type { MetricAnswer } from "./query/metricAnswer.ts"
import type { RangeInput } from "./query/range.ts"
import type { ReadError } from "./readBatches.ts"
import { sessions, type SessionsAnswer, type SessionsInput } from "./query/sessions.ts"
import { user, type UserAnswer } from "./query/user.ts"

type QueryError = BadQuery | ReadModelUnavailable
type ScanningError = QueryError | ReadError

/**
 * Answers questions from the read model, each as it stands at one moment; what is in the log and not projected is not in
 * the answers.
 * Ranges are local days, both ends included; ends not given are those of what is stored.
 */
export class Analytics extends Context.Service<
  Analytics,
  {
    /** Distinct persons and events per day, week, month or rolling window. */
    readonly activeUsers: (input?: ActiveUsersInput) => Effect.Effect<ActiveUsersAnswer, QueryError>
    /** How many of the active persons use each feature. */
    readonly adoption: (input?: AdoptionInput) => Effect.Effect<AdoptionAnswer, QueryError>
    /** How far persons get through a sequence of steps, and how fast. */
    readonly funnel: (input: FunnelInput) => Effect.Effect<FunnelAnswer, ScanningError>
    /** Sessions per day of their start. */
    readonly sessions: (input?: SessionsInput) => Effect.Effect<SessionsAnswer, QueryError>
    /** Events and persons per event name and day. */
    readonly events: (input?: EventsInput) => Effect.Effect<EventsAnswer, QueryError>
    /** What one person did. */
    readonly user: (id: string, input?: RangeInput) => Effect.Effect<UserAnswer, ScanningError>
    /** The numbers of an applied metric. */
    readonly metric: (
      name: string,
      input?: RangeInput,
    ) => Effect.Effect<MetricAnswer, ScanningError | UnknownControlFact>
  }
>()("tidemark/app/Analytics") {
  static readonly layer = Layer.effect(
    Analytics,
    Effect.gen(function* () {
      const services = yield* Effect.context<EventLog | ReadModel | ReadModelQueries>()
      const { snapshot } = yield* ReadModelQueries
      // Those that read the log, or count for long once the tables were asked, take their snapshot themselves.
      const here = Effect.provideContext(services)
      return Analytics.of({
        activeUsers: (input) => here(snapshot(activeUsers(input))),
        adoption: (input) => here(snapshot(adoption(input))),
        funnel: (input) => here(funnel(input)),
        sessions: (input) => here(sessions(input)),
        events: (input) => here(snapshot(events(input))),
        user: (id, input) => here(user(id, input)),
        metric: (name, input) => here(metric(name, input)),
      })
    }),
  )
}
