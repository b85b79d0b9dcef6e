import { setTimeout as pause } from "node:timers/promises"
import { Random } from "../../src/domain/simulate/random.ts"
import { type Fault, nameOf, nextTurn, victimOf } from "./faults.ts"
import { type Balance, holds, Ledger } from "./Ledger.ts"
import { whenCaughtUp } from "./Recovery.ts"
import { openWorld, type World } from "./world.ts"

export interface ChaosOptions {
  readonly seed: number
  /** How long faults come, in seconds; what comes before and after them takes about half a minute more. */
  readonly seconds: number
  /** Faults at least, also when they take longer. Default 0. */
  readonly faultsMin?: number
  /** Events a second. Default 200. */
  readonly rate?: number
  readonly say?: (line: string) => void
}

/** What became of one fault. */
interface Struck {
  readonly fault: string
  /** How long it lasted, ms. */
  readonly lasted: number
  /** From its end until everything that was in the log then was projected, ms; `null`: never. */
  readonly recovered: number | null
  /** Whether another fault was under way between its beginning and the recovery: then the wait is for that one too. */
  readonly alone: boolean
}

export interface ChaosReport {
  readonly seed: number
  readonly seconds: number
  readonly faults: number
  readonly recovery: Recovery & { readonly byKind: Readonly<Record<string, Recovery>> }
  /** One at each quiet moment, the last when all was over. */
  readonly balances: ReadonlyArray<Balance>
  readonly cells: number
  readonly differences: number
  readonly firstDifference: unknown
  /** Processes that ended unasked, and what they said. */
  readonly endedUnasked: ReadonlyArray<string>
  readonly stopped: { readonly codes: ReadonlyArray<number | null>; readonly millis: number }
  /** What is not as it must be; empty when all is well. */
  readonly problems: ReadonlyArray<string>
}

interface Recovery {
  readonly all: Recoveries
  /** Of faults that no other met, from the beginning to the recovery. */
  readonly alone: Recoveries
}

interface Recoveries {
  readonly count: number
  readonly medianMillis: number | null
  readonly worstMillis: number | null
  readonly worstFault: string | null
}

/** Between two moments at which everything is let come to rest and counted. */
const SECONDS_TO_QUIET = 45

/** After this long the next faults come, whether those before have ended or not. */
const LONG_MILLIS = 3500

/** How long a metric may take to go live when all is over, ms. */
const LIVE_MILLIS_MAX = 60_000

/** Runs the pipeline under faults, and says whether its numbers are right. */
export const runChaos = async ({
  seed,
  seconds,
  faultsMin = 0,
  rate = 200,
  say = () => {},
}: ChaosOptions): Promise<ChaosReport> => {
  const random = new Random(seed)
  const world = await openWorld({ seed, rate })
  try {
    const ledger = new Ledger(world)
    const struck: Array<Promise<Struck>> = []
    const balances: Array<Balance> = []
    const problems: Array<string> = []
    /** Faults begun so far, and those that have not ended. */
    let begun = 0
    let underWay = 0
    /** The last fault of each process. */
    const ended = new Map<string, Promise<void>>()

    const strike = async (fault: Fault): Promise<void> => {
      begun++
      underWay++
      const before = begun
      const others = underWay > 1
      const began = performance.now()
      say(`${nameOf(fault)} for ${fault.millis} ms`)
      await world.hit(fault)
      const lasted = Math.round(performance.now() - began)
      underWay--
      struck.push(
        whenCaughtUp(world).then((recovered) => {
          if (recovered === null) problems.push(`never recovered from: ${nameOf(fault)}`)
          return { fault: nameOf(fault), lasted, recovered, alone: !others && begun === before }
        }),
      )
    }

    const allRecovered = async () => {
      await Promise.all(ended.values())
      return Promise.all(struck)
    }

    const rest = async (): Promise<Balance> => {
      await world.pauseWriter()
      const millis = await whenCaughtUp(world)
      const balance = await ledger.balance()
      balances.push(balance)
      say(`quiet after ${millis} ms: ${JSON.stringify(balance)}`)
      if (!holds(balance)) problems.push(`the balance does not hold: ${JSON.stringify(balance)}`)
      return balance
    }

    world.start()
    await whenAtWork(world, say)
    const end = performance.now() + seconds * 1000
    let quietAt = performance.now() + SECONDS_TO_QUIET * 1000
    const goesOn = () => performance.now() < end || begun < faultsMin
    while (goesOn()) {
      const { pauseMillis, alone, faults } = nextTurn(random)
      if (alone) await allRecovered()
      await pause(pauseMillis)
      for (const fault of faults) await ended.get(victimOf(fault))
      const strikes = faults.map((fault) => {
        const strikeEnded = strike(fault)
        ended.set(victimOf(fault), strikeEnded)
        return strikeEnded
      })
      // Long ones go on while others come and go.
      await Promise.race([Promise.all(strikes), pause(LONG_MILLIS)])
      if (alone) await allRecovered()
      if (performance.now() < quietAt) continue
      await Promise.all(ended.values())
      await rest()
      await world.applyMetric()
      world.goOn()
      quietAt = performance.now() + SECONDS_TO_QUIET * 1000
    }
    const strikes = await allRecovered()
    await rest()
    const metricLive = await whenMetricLive(world)
    if (!metricLive) problems.push("the metric applied last did not go live")
    const { cells, different, first } = await ledger.differences()
    if (different > 0)
      problems.push(`${different} of ${cells} cells differ from the oracle's, such as ${JSON.stringify(first)}`)
    const stopped = await world.stopWorkers()
    if (stopped.codes.some((code) => code !== 0)) problems.push(`workers ended with ${stopped.codes.join(", ")}`)
    if (stopped.millis > 10_000) problems.push(`workers took ${stopped.millis} ms to end`)
    return {
      seed,
      seconds,
      faults: strikes.length,
      recovery: {
        ...recoveryOf(strikes),
        byKind: Object.fromEntries(
          Array.from(
            Map.groupBy(strikes, ({ fault }) => fault.replace(/ \d/, "")),
            ([kind, ofKind]) => [kind, recoveryOf(ofKind)],
          ),
        ),
      },
      balances,
      cells,
      differences: different,
      firstDifference: first,
      endedUnasked: world.endedUnasked(),
      stopped,
      problems,
    }
  } finally {
    await world.close()
  }
}

const whenAtWork = async (world: World, say: (line: string) => void) => {
  for (;;) {
    const [row] = await world.postgres.query(
      "SELECT count(*)::int AS n FROM tidemark.checkpoints WHERE projector_group = 'live' AND projected > 0",
    )
    if (row.n > 0) break
    await pause(100)
  }
  const millis = await whenCaughtUp(world)
  say(`at work; caught up within ${millis} ms`)
}

const whenMetricLive = async (world: World): Promise<boolean> => {
  const until = performance.now() + LIVE_MILLIS_MAX
  while (!(await world.isMetricLive())) {
    if (performance.now() > until) return false
    await pause(200)
  }
  return true
}

const recoveryOf = (strikes: ReadonlyArray<Struck>): Recovery => ({
  all: recoveriesOf(strikes),
  alone: recoveriesOf(strikes.filter(({ alone }) => alone)),
})

const recoveriesOf = (strikes: ReadonlyArray<Struck>): Recoveries => {
  const sorted = strikes
    .flatMap(({ fault, recovered }) => (recovered === null ? [] : [{ fault, recovered }]))
    .toSorted((a, b) => a.recovered - b.recovered)
  return {
    count: sorted.length,
    medianMillis: sorted[Math.floor(sorted.length / 2)]?.recovered ?? null,
    worstMillis: sorted.at(-1)?.recovered ?? null,
    worstFault: sorted.at(-1)?.fault ?? null,
  }
}
