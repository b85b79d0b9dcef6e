import { readFileSync } from "node:fs"
import { Effect, Stream } from "effect"
import { verify } from "../../src/app/verify/verify.ts"
import { decodeBatch } from "../../src/domain/log/batch.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { EVERY_MEASURE } from "../../src/domain/projection/Operations.ts"
import type { World } from "./world.ts"

/** Where everything that was ever sent has gone, counted outside of the projection. */
export interface Balance {
  /** Events in the log, repeats included. */
  readonly accepted: number
  readonly projected: number
  readonly duplicates: number
  /** Events that no measure has. */
  readonly quarantined: number
  readonly dropped: number
  /** Ids that the writer was told are safe. */
  readonly acknowledged: number
  /** Ids in the log. */
  readonly stored: number
  /** Acknowledged ids that are not in the log, or were not projected. */
  readonly lost: number
  /** Events that were projected more than once. */
  readonly double: number
}

/** Reads the log by itself, a little further each time, and knows every id in it. */
export class Ledger {
  readonly #world: World
  readonly #ids = new Set<string>()
  readonly #read = new Map<number, number>()
  #events = 0

  constructor(world: World) {
    this.#world = world
  }

  /** The balance; only while nothing is under way. */
  async balance(): Promise<Balance> {
    await this.#world.runtime.runPromise(this.#readOn())
    const acknowledged = new Set(readFileSync(this.#world.acknowledgedFile, "utf8").split("\n").slice(0, -1))
    const [row] = await this.#world.postgres.query(`
      SELECT (SELECT coalesce(sum(projected), 0)::int FROM tidemark.checkpoints WHERE projector_group = 'live') AS projected,
        (SELECT coalesce(sum(duplicates), 0)::int FROM tidemark.checkpoints WHERE projector_group = 'live') AS duplicates,
        (SELECT count(*)::int FROM tidemark.quarantine WHERE metric = '${EVERY_MEASURE}') AS quarantined`)
    const { projected, duplicates, quarantined } = row as { projected: number; duplicates: number; quarantined: number }
    const missing = acknowledged.difference(this.#ids).size
    const stored = this.#ids.size
    return {
      accepted: this.#events,
      projected,
      duplicates,
      quarantined,
      // Nothing in the pipeline drops an event that the log has.
      dropped: 0,
      acknowledged: acknowledged.size,
      stored,
      lost: missing + Math.max(0, stored - projected - quarantined),
      double: Math.max(0, projected - stored),
    }
  }

  /** Cells that differ from the oracle's, which reads the whole log anew. */
  async differences(): Promise<{ readonly cells: number; readonly different: number; readonly first: unknown }> {
    const { cells, differences } = await this.#world.runtime.runPromise(verify())
    return { cells, different: differences.length, first: differences[0] ?? null }
  }

  #readOn() {
    return Effect.flatMap(EventLog, (log) =>
      Effect.forEach(Array.from({ length: log.partitions }).keys(), (partition) =>
        log.read(partition, this.#read.get(partition) ?? 0).pipe(
          Stream.mapEffect(({ position, bytes }) =>
            Effect.map(Effect.fromResult(decodeBatch(bytes)), (batch) => ({ position, batch })),
          ),
          Stream.runForEach(({ position, batch }) =>
            Effect.sync(() => {
              for (const id of batch.ids) this.#ids.add(id)
              this.#events += batch.count
              this.#read.set(partition, position.sequence)
            }),
          ),
        ),
      ),
    )
  }
}

export const holds = ({ accepted, projected, duplicates, quarantined, dropped, lost, double }: Balance): boolean =>
  accepted === projected + duplicates + quarantined + dropped && lost === 0 && double === 0
