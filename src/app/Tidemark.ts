import { Data, Effect, Exit } from "effect"
import { Analytics } from "./Analytics.ts"
import { readConfiguration } from "./config/Configuration.ts"
import { rebuild, type Rebuilt, type RebuildOptions } from "./change/rebuild.ts"
import type { ExplainInput, Explanation } from "./explain/explain.ts"
import { hold } from "./holding.ts"
import { type AppliedMetrics, applyMetrics, type ApplyOptions } from "./change/apply.ts"
import { Projector } from "./projection/Projector.ts"
import type { ActiveUsersAnswer, ActiveUsersInput } from "./query/activeUsers.ts"
import type { AdoptionAnswer, AdoptionInput } from "./query/adoption.ts"
import type { EventsAnswer, EventsInput } from "./query/events.ts"
import type { FunnelAnswer, FunnelInput } from "./query/funnel.ts"
import type { MetricAnswer } from "./query/metricAnswer.ts"
import type { RangeInput } from "./query/range.ts"
import type { SessionsAnswer, SessionsInput } from "./query/sessions.ts"
import type { UserAnswer } from "./query/user.ts"
import type { Store } from "./store.ts"
import {
  type Alias,
  type Group,
  type Identify,
  type Page,
  type Track,
  Tracker,
  type TrackerOptions,
} from "./Tracker.ts"
import {
  click,
  type Click,
  errorSeen,
  type ErrorSeen,
  featureUsed,
  type FeatureUsed,
  type PageView,
  pageView,
  type Purchase,
  purchase,
} from "./typedEvents.ts"

/** A method was called after `close`. */
export class TidemarkClosed extends Data.TaggedError("TidemarkClosed") {
  override get message(): string {
    return "This Tidemark was closed; nothing can be tracked or asked any more. Open it again with openTidemark."
  }
}

export interface OpenOptions extends TrackerOptions {
  /**
   * Where the embedded store is; made when it isn't there. Default: what the configuration says, else `.tidemark`. It
   * does not go with configured servers.
   */
  readonly directory?: string
}

/**
 * Tidemark in this process, for programs that don't use Effect: every method returns a promise, and a promise that
 * rejects does so with one of the typed errors of this package (`_tag` says which, `message` what to do).
 *
 * Queries see everything that was tracked before them: they flush and project first.
 */
export interface Tidemark extends AsyncDisposable {
  readonly track: (event: Track) => Promise<void>
  readonly page: (page: Page) => Promise<void>
  readonly screen: (screen: Page) => Promise<void>
  readonly identify: (identity: Identify) => Promise<void>
  readonly group: (group: Group) => Promise<void>
  readonly alias: (alias: Alias) => Promise<void>
  readonly unalias: (alias: Alias) => Promise<void>
  readonly trackPageView: (view: PageView) => Promise<void>
  readonly trackClick: (event: Click) => Promise<void>
  readonly trackFeatureUsed: (event: FeatureUsed) => Promise<void>
  readonly trackPurchase: (event: Purchase) => Promise<void>
  readonly trackError: (event: ErrorSeen) => Promise<void>
  /** When it resolves, everything tracked before is durable. */
  readonly flush: () => Promise<void>
  readonly activeUsers: (input?: ActiveUsersInput) => Promise<ActiveUsersAnswer>
  readonly adoption: (input?: AdoptionInput) => Promise<AdoptionAnswer>
  readonly funnel: (input: FunnelInput) => Promise<FunnelAnswer>
  readonly sessions: (input?: SessionsInput) => Promise<SessionsAnswer>
  readonly events: (input?: EventsInput) => Promise<EventsAnswer>
  readonly user: (id: string, input?: RangeInput) => Promise<UserAnswer>
  readonly metric: (name: string, input?: RangeInput) => Promise<MetricAnswer>
  /** What one number of a metric is made of, and what changed it since its day was over. */
  readonly explain: (metric: string, input: ExplainInput) => Promise<Explanation>
  /** Applies the metric definitions of files, YAML or programs, or of those in a directory, to all of history. */
  readonly applyMetrics: (files: string | ReadonlyArray<string>, options?: ApplyOptions) => Promise<AppliedMetrics>
  /** Builds metrics anew from the log beside what answers, compares every cell, and switches. */
  readonly rebuild: (options?: RebuildOptions) => Promise<Rebuilt>
  /** Flushes and lets go of the store. */
  readonly close: () => Promise<void>
}

/**
 * Opens the store that the configuration names (docs/reference/configuration.md): on servers where `TIDEMARK_NATS_URL` and
 * `TIDEMARK_POSTGRES_URL` name them, else the embedded one, which is one directory for one process at a time.
 */
export const openTidemark = async (options: OpenOptions = {}): Promise<Tidemark> => {
  const { directory, ...trackerOptions } = options
  const configuration = await runAlone(readConfiguration({ environment: process.env, directory }))
  const { tracking, asking, upToDate, letGo } = hold(configuration, trackerOptions)
  let closing: Promise<void> | undefined
  const whileOpen = async <A>(call: () => Promise<Exit.Exit<A, unknown>>): Promise<A> => {
    if (closing !== undefined) throw new TidemarkClosed()
    return valueOf(await call())
  }
  const run = <A, E>(effect: Effect.Effect<A, E, Tracker>): Promise<A> => whileOpen(() => tracking.runExit(effect))
  const runStore = <A, E>(effect: Effect.Effect<A, E, Analytics | Store>): Promise<A> =>
    whileOpen(() => asking.runExit(effect))
  const track = (event: Track) => run(Tracker.use((tracker) => tracker.track(event)))
  const ask = async <A, E>(question: (analytics: Analytics["Service"]) => Effect.Effect<A, E>) => {
    await whileOpen(upToDate)
    return runStore(
      Effect.andThen(
        Projector.use((projector) => projector.project({ awaitBuilds: false })),
        Analytics.use(question),
      ),
    )
  }
  /** Also where a program closes what `await using` closes again. */
  const close = () => (closing ??= flushAndLetGo())
  const flushAndLetGo = async () => {
    // A flush that fails is this call's typed failure; the store is let go of all the same.
    const flushed = await tracking.runExit(Tracker.use((tracker) => tracker.flush))
    await letGo()
    valueOf(flushed)
  }

  // Opens now, so that a store that can't be opened is this call's failure.
  await run(Effect.void)
  return {
    track,
    page: (page) => run(Tracker.use((tracker) => tracker.page(page))),
    screen: (screen) => run(Tracker.use((tracker) => tracker.screen(screen))),
    identify: (identity) => run(Tracker.use((tracker) => tracker.identify(identity))),
    group: (group) => run(Tracker.use((tracker) => tracker.group(group))),
    alias: (alias) => run(Tracker.use((tracker) => tracker.alias(alias))),
    unalias: (alias) => run(Tracker.use((tracker) => tracker.unalias(alias))),
    trackPageView: (view) => track(pageView(view)),
    trackClick: (event) => track(click(event)),
    trackFeatureUsed: (event) => track(featureUsed(event)),
    trackPurchase: (event) => track(purchase(event)),
    trackError: (event) => track(errorSeen(event)),
    flush: () => run(Tracker.use((tracker) => tracker.flush)),
    activeUsers: (input) => ask((analytics) => analytics.activeUsers(input)),
    adoption: (input) => ask((analytics) => analytics.adoption(input)),
    funnel: (input) => ask((analytics) => analytics.funnel(input)),
    sessions: (input) => ask((analytics) => analytics.sessions(input)),
    events: (input) => ask((analytics) => analytics.events(input)),
    user: (id, input) => ask((analytics) => analytics.user(id, input)),
    metric: (name, input) => ask((analytics) => analytics.metric(name, input)),
    explain: (metric, input) => ask((analytics) => analytics.explain(metric, input)),
    applyMetrics: (files, options) => runStore(applyMetrics(files, options)),
    rebuild: (options) => runStore(rebuild(options)),
    close,
    [Symbol.asyncDispose]: close,
  }
}

const runAlone = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromiseExit(effect).then(valueOf)

/** The value, or the typed error itself, not a wrapper: callers switch on its `_tag`. */
const valueOf = <A, E>(exit: Exit.Exit<A, E>): A => {
  if (Exit.isSuccess(exit)) return exit.value
  const failure = exit.cause.reasons.find((reason) => reason._tag === "Fail")
  throw failure === undefined ? new Error(String(exit.cause)) : failure.error
}
