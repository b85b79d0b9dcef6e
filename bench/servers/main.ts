import { loadavg } from "node:os"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { Analytics } from "../../src/app/Analytics.ts"
import { recordDefinitions } from "../../src/app/control.ts"
import { appendDataset, logBytes, publishSingles } from "./appending.ts"
import { cpuBetween, type CpuSeconds } from "./cpu.ts"
import { startToFirstAnswer } from "./embedded.ts"
import { acceptedToVisible } from "./latency.ts"
import { measureLive } from "./live.ts"
import { projectOneByOne } from "./oneByOne.ts"
import { installPeers, measureDuckDb, measureEmmett } from "./peers.ts"
import { ALL_METRICS, BUDGET_METRICS, decode, drain, empty, fold, FUNNEL, replay } from "./projecting.ts"
import { measureQueriesApart } from "./queriesApart.ts"
import { openStage } from "./stage.ts"
import { perSecond, round, seconds } from "./timing.ts"
import { caughtUp, startWorker } from "./worker.ts"

/** Events that slow rivals are measured on; their rate does not depend on how many come. */
const SAMPLE = 20_000
const REPLAYS = 3
const LATENCY_SAMPLES = 300

/** Every budget of the design that needs servers, measured in one run: rates, and ratios of them. */
export const measureServers = async (count: number, options: { readonly peers: boolean }) => {
  const stage = await openStage()
  const run = stage.runtime.runPromise
  const say = (what: string) => process.stderr.write(`bench: ${what}\n`)
  try {
    say(`append ${count} events`)
    const appended = await run(appendDataset(count))
    const bytesPerEvent = round((await logBytes(stage.natsUrl)) / count, 1)
    const singles = await publishSingles(stage.natsUrl, SAMPLE)

    say("drain, decode, fold and replay")
    const draining: Array<number> = []
    const decoding: Array<number> = []
    const folding: Array<number> = []
    const replaying: Array<number> = []
    const cpu: Array<CpuSeconds> = []
    for (let n = 0; n < REPLAYS; n++) {
      draining.push(await run(drain))
      decoding.push(await run(decode))
      folding.push(await run(fold(BUDGET_METRICS)))
      const before = stage.usedCpu()
      replaying.push(await run(replay(BUDGET_METRICS)))
      cpu.push(cpuBetween(before, stage.usedCpu()))
    }
    const drained = perSecond(count, Math.min(...draining))
    const replayed = perSecond(count, Math.min(...replaying))
    // Of a replay whose tables take no time at all: it has one thread to fold with.
    const folded = perSecond(count, Math.min(...folding))
    const oneByOne = await projectOneByOne(stage.natsUrl, stage.postgresUrl, SAMPLE)

    say("replay by a worker with all default measures")
    await run(recordDefinitions([FUNNEL]))
    await run(empty(ALL_METRICS))
    const worker = startWorker(stage)
    const workerReplaying = await run(seconds(caughtUp))
    const peakRssMiB = worker.peakRssMiB()
    await worker.stop()

    say("queries")
    await run(vacuum)
    const answers = await run(sums)
    const queries = await measureQueriesApart(stage)

    say("live projection and latency")
    const live = await measureLive(stage, Math.round(count / 5))
    const liveWorker = startWorker(stage)
    await run(caughtUp)
    const visible = await run(acceptedToVisible(LATENCY_SAMPLES))
    await liveWorker.stop()

    const problem = options.peers ? installPeers() : null
    if (options.peers) say("peers")
    const withPeers = options.peers && problem === null
    const emmett = withPeers ? measureEmmett(stage.postgresUrl, SAMPLE) : null
    const duckdb = withPeers ? measureDuckDb(count) : null

    const workerReplayed = perSecond(count, workerReplaying)
    return {
      events: count,
      loadAverage: loadavg().map((load) => round(load, 1)),
      append: {
        batchesOf256EventsPerSecond: appended.eventsPerSecond,
        onePublishPerEvent: singles,
        ratio: round(appended.eventsPerSecond / singles.acknowledgedEventsPerSecond, 1),
        budget: ">= 20",
      },
      log: { bytesPerEvent, jsonBytesPerEvent: appended.jsonBytesPerEvent, budget: "<= 120" },
      replay: {
        drainedEventsPerSecond: drained,
        decodedEventsPerSecond: perSecond(count, Math.min(...decoding)),
        foldedEventsPerSecond: folded,
        replayedEventsPerSecond: replayed,
        cpuSeconds: cpu.at(-1),
        ratioToDrain: round(replayed / drained, 3),
        ratioToDrainBudget: ">= 0.4",
        ratioToDrainAtMost: round(folded / drained, 3),
        ratioToDecode: round(Math.min(...decoding) / Math.min(...replaying), 3),
        oneByOne,
        ratioToOneByOne: round(replayed / oneByOne.eventsPerSecond, 1),
        ratioToOneByOneBudget: ">= 50",
        ratioToOneByOneAtMost: round(folded / oneByOne.eventsPerSecond, 1),
        ...(emmett === null
          ? {}
          : {
              emmett,
              ratioToEmmett: round(replayed / emmett.consumedEventsPerSecond, 1),
              ratioToEmmettBudget: ">= 100",
              ratioToEmmettAtMost: round(folded / emmett.consumedEventsPerSecond, 1),
            }),
        ...(duckdb === null
          ? {}
          : {
              duckdb: { seconds: round(duckdb.seconds, 2), threads: duckdb.threads },
              ratioToDuckDb: round(duckdb.seconds / Math.min(...replaying), 3),
              ratioToDuckDbBudget: ">= 1",
              ratioToDuckDbAtMost: round((duckdb.seconds * folded) / count, 3),
              answers: { tidemark: answers, duckdb: duckdb.answers },
            }),
      },
      worker: {
        replayedEventsPerSecond: workerReplayed,
        peakRssMiB,
        peakRssBudget: "<= 512 at 10 million events",
      },
      live: {
        ...live,
        ratioToReplay: round(live.eventsPerSecond / workerReplayed, 2),
        budget: ">= 0.25",
      },
      acceptedToVisible: { ...visible, budget: "p99 <= 250" },
      queries: { ...queries, budget: "from cells p99 <= 5, others <= 200" },
      embeddedStartToFirstAnswer: { ...startToFirstAnswer(), budget: "<= 2" },
      ...(problem === null ? {} : { peers: problem }),
    }
  } finally {
    await stage.close()
  }
}

/** As autovacuum does within a minute of such a change: first plans are guesses without it, and it would be at work meanwhile. */
const vacuum = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`VACUUM ANALYZE`)

/** What the read model says, in the numbers that DuckDB gives. */
const sums = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [cells] = yield* sql<{ readonly persons: string; readonly features: string }>`
    SELECT sum(amount) FILTER (WHERE metric = 'active_users') AS persons,
      sum(amount) FILTER (WHERE metric = 'feature_adoption') AS features FROM live_cells WHERE stat = 'users'`
  const analytics = yield* Analytics
  const { steps } = yield* analytics.funnel({ name: FUNNEL.name })
  return {
    personDays: Number(cells!.persons),
    featurePersonDays: Number(cells!.features),
    funnel: steps.map(({ users }) => users),
  }
})
