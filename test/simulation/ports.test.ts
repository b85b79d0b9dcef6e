import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll, vi } from "vitest"
import { ReadModel } from "../../src/domain/projection/ReadModel.ts"
import { layerPglite } from "../../src/infra/embedded/PgliteClient.ts"
import { layerSqlReadModel } from "../../src/infra/sql/SqlReadModel.ts"
import { eventLogContract } from "../contract/eventLog.ts"
import { NO_FAULTS } from "./faults.ts"
import { Flaws } from "./flaws.ts"
import { ownershipContract } from "./ownership.ts"
import { SimulatedLog } from "./SimulatedLog.ts"
import { SimulatedReadModel } from "./SimulatedReadModel.ts"
import { OpenWorld } from "./World.ts"

// Opening PGlite takes seconds.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let logs = 0

for (const writers of ["many", "one"] as const) {
  eventLogContract(`the simulated log of ${writers} writers`, async () => {
    const world = new OpenWorld()
    const incarnation = `simulated ${++logs}`
    let log: SimulatedLog | null = null
    return {
      open: ({ partitions }) =>
        Effect.sync(() => {
          const disk = (log ??= new SimulatedLog(world, NO_FAULTS, { partitions, writers }, new Flaws(), incarnation))
          const recordAt = (partition: number, sequence: number) =>
            disk.records.find((record) => record.partition === partition && record.sequence === sequence)
          return {
            log: disk.open(world.process("reader")),
            remove: (partition, sequence) =>
              Effect.sync(() => {
                const gone = recordAt(partition, sequence)
                disk.records = disk.records.filter((record) => record !== gone)
              }),
            damage: (partition, sequence, bytes) =>
              Effect.sync(() => {
                recordAt(partition, sequence)!.bytes = bytes
              }),
          }
        }),
    }
  })
}

ownershipContract("the simulated read model", async () => {
  const world = new OpenWorld()
  return new SimulatedReadModel(world, NO_FAULTS, new Flaws(), () => {}).open(world.process("projector"))
})

const directory = mkdtempSync(join(tmpdir(), "tidemark-ownership-"))
const runtime = ManagedRuntime.make(
  layerSqlReadModel.pipe(Layer.provideMerge(layerPglite(join(directory, "postgres")))),
)

afterAll(async () => {
  await runtime.dispose()
  rmSync(directory, { recursive: true, force: true })
})

ownershipContract("PGlite", () => runtime.runPromise(ReadModel))
