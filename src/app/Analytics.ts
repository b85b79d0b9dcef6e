import { Context, Effect, Layer } from "effect"
import { ReadModelQueries } from "../domain/projection/ReadModelQueries.ts"
import type { ReadModelUnavailable } from "../domain/projection/errors.ts"
import { activeUsers, type ActiveUsersAnswer, type ActiveUsersInput } from "./query/activeUsers.ts"
import { adoption, type AdoptionAnswer, type AdoptionInput } from "./query/adoption.ts"
import { explain, type ExplainInput, type Explanation } from "./explain/explain.ts"
import type { BadQuery } from "./query/errors.ts"
import { events, type EventsAnswer, type EventsInput } from "./query/events.ts"
import { funnel, type FunnelAnswer, type FunnelInput } from "./query/funnel.ts"
import { metric } from "./query/metric.ts"
import type { MetricAnswer } from "./query/metricAnswer.ts"
import type { RangeInput } from "./query/range.ts"
import type { ReadError } from "./readBatches.ts"
import { askAsOf } from "./asOf/askAsOf.ts"
import { type Replayed, type ReplayError, Replays } from "./asOf/Replays.ts"
import { sessions, type SessionsAnswer, type SessionsInput } from "./query/sessions.ts"
import { user, type UserAnswer } from "./query/user.ts"

/** Of any question, since any may be asked as of an earlier place in the log. */
type QueryError = BadQuery | ReadModelUnavailable | ReadError | ReplayError

/**
 * Answers questions from the read model, each as it stands at one moment; what is in the log and not projected is not in
 * the answers. Asked `asOf` an earlier place in the log, each answers from a replay up to there.
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
    readonly funnel: (input: FunnelInput) => Effect.Effect<FunnelAnswer, QueryError>
    /** Sessions per day of their start. */
    readonly sessions: (input?: SessionsInput) => Effect.Effect<SessionsAnswer, QueryError>
    /** Events and persons per event name and day. */
    readonly events: (input?: EventsInput) => Effect.Effect<EventsAnswer, QueryError>
    /** What one person did. */
    readonly user: (id: string, input?: RangeInput) => Effect.Effect<UserAnswer, QueryError>
    /** The numbers of an applied metric. */
    readonly metric: (name: string, input?: RangeInput) => Effect.Effect<MetricAnswer, QueryError>
    /** What one number of a metric is made of, and what changed it since its day was over. */
    readonly explain: (metric: string, input: ExplainInput) => Effect.Effect<Explanation, QueryError>
  }
>()("tidemark/app/Analytics") {
  static readonly layer = Layer.effect(
    Analytics,
    Effect.gen(function* () {
      const services = yield* Effect.context<Replayed | Replays>()
      const ask = <A, E>(asOf: string | undefined, question: Effect.Effect<A, E, Replayed>) =>
        Effect.provideContext(
          Effect.suspend((): Effect.Effect<A, E | QueryError, Replayed | Replays> =>
            asOf === undefined ? question : askAsOf(asOf, question),
          ),
          services,
        )
      return Analytics.of({
        activeUsers: (input) => ask(input?.asOf, atOneMoment(activeUsers(input))),
        adoption: (input) => ask(input?.asOf, atOneMoment(adoption(input))),
        // Those that read the log, or count for long once the tables were asked, take their snapshot themselves.
        funnel: (input) => ask(input.asOf, funnel(input)),
        sessions: (input) => ask(input?.asOf, sessions(input)),
        events: (input) => ask(input?.asOf, atOneMoment(events(input))),
        user: (id, input) => ask(input?.asOf, user(id, input)),
        metric: (name, input) => ask(input?.asOf, metric(name, input)),
        explain: (metric, input) => ask(input.asOf, explain(metric, input)),
      })
    }),
  )
}

const atOneMoment = <A, E, R>(question: Effect.Effect<A, E, R>) =>
  Effect.flatMap(ReadModelQueries, ({ snapshot }) => snapshot(question))
