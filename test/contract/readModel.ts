import type { Layer } from "effect"
import type { SqlClient } from "effect/sql"
import { describe, vi } from "vitest"
import type { BulkCopy } from "../../src/infra/sql/BulkCopy.ts"
import { cellsContract } from "./readModel/cells.ts"
import { checkpointsContract } from "./readModel/checkpoints.ts"
import { countingContract } from "./readModel/counting.ts"
import { dedupeContract } from "./readModel/dedupe.ts"
import { factsContract } from "./readModel/facts.ts"
import { metricsContract } from "./readModel/metrics.ts"
import { partitionsAtOnceContract } from "./readModel/partitionsAtOnce.ts"
import { schemaContract } from "./readModel/schema.ts"
import { snapshotsContract } from "./readModel/snapshots.ts"
import { stepsContract } from "./readModel/steps.ts"
import { whoIsWhoContract } from "./readModel/whoIsWho.ts"
import { openReadModel } from "./readModel/world.ts"

/** What the read model keeps to, over any database that an SqlClient can speak to. Opened once, wiped for each test. */
export const readModelContract = (
  name: string,
  makeClient: () => Layer.Layer<SqlClient.SqlClient | BulkCopy, unknown>,
): void => {
  describe(`${name} as a read model`, () => {
    // Opening a database takes seconds, more on a busy machine.
    vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })
    const world = openReadModel(makeClient)
    stepsContract(world)
    snapshotsContract(world)
    checkpointsContract(world)
    whoIsWhoContract(world)
    factsContract(world)
    partitionsAtOnceContract(world)
    cellsContract(world)
    dedupeContract(world)
    metricsContract(world)
    countingContract(world)
    schemaContract(world)
  })
}
