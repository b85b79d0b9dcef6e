import { Effect } from "effect"
import { Analytics } from "../../src/app/Analytics.ts"
import { ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { FUNNEL_STEPS } from "./data.ts"
import { FUNNEL } from "./projecting.ts"
import { percentiles } from "./timing.ts"

const SAMPLES = 1000
/** Answers before these, while V8 compiles and connections plan, which a service that is up has behind it. */
const WARM_UP = 1000
const SCANS = 3

const latency = <A, E, R>(effect: Effect.Effect<A, E, R>, samples = SAMPLES) =>
  Effect.gen(function* () {
    for (let n = 0; n < Math.min(WARM_UP, samples); n++) yield* effect
    const millis: Array<number> = []
    for (let n = 0; n < samples; n++) {
      const start = performance.now()
      yield* effect
      millis.push(performance.now() - start)
    }
    return percentiles(millis)
  })

/** A range that begins and ends in the middle of a month, so that no number of it was kept. */
const ODD_RANGE = { from: "2026-06-05", to: "2026-06-19" }

/** How long answers take: those that are kept as cells, and those that are counted when they are asked for. */
export const measureQueries = Effect.gen(function* () {
  const analytics = yield* Analytics
  const steps = FUNNEL_STEPS.map((event) => ({ event }))
  const { snapshot, standing, personPoints } = yield* ReadModelQueries
  const funnel = (yield* standing).measures.find(({ definition }) => definition.name === FUNNEL.name)!
  return {
    // A snapshot in which nothing is asked: two of the four round trips that an answer takes, and none of its work.
    nothing: yield* latency(snapshot(Effect.void)),
    fromCells: {
      dailySeries: yield* latency(analytics.activeUsers()),
      rolling7: yield* latency(analytics.activeUsers({ interval: "rolling-7" })),
      rolling30: yield* latency(analytics.activeUsers({ interval: "rolling-30" })),
      adoption: yield* latency(analytics.adoption()),
      declaredFunnelCells: yield* latency(analytics.metric(FUNNEL.name)),
    },
    fromFacts: {
      uniquesOfOddRange: yield* latency(analytics.activeUsers(ODD_RANGE)),
      adoptionOfOddRange: yield* latency(analytics.adoption(ODD_RANGE)),
      // What a funnel of a range begins with: the points of all persons, and nothing done with them.
      pointsAlone: yield* latency(personPoints(funnel.id), 10),
      declaredFunnelOfRange: yield* latency(analytics.funnel({ name: FUNNEL.name }), 10),
    },
    fromEvents: {
      funnelNotDeclared: yield* latency(analytics.funnel({ formula: { kind: "funnel", steps } }), SCANS),
    },
  }
})
