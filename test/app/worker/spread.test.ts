import { HashRing } from "effect"
import { EntityId, RunnerAddress, Sharding, ShardingConfig, TestRunner } from "effect/cluster"
import { Effect, Layer } from "effect"
import { describe, expect, test } from "vitest"
import { nameOnShard, newWorkerName } from "../../../src/app/worker/cluster.ts"

const addressOf = (worker: string) => RunnerAddress.make(worker.replace(/:\d+$/, ""), Number(worker.split(":").at(-1)))

/** Who gets which partition, as effect/cluster places shards. */
const placed = (workers: ReadonlyArray<string>, partitions: number): ReadonlyArray<string> => {
  const ring = HashRing.make<RunnerAddress.RunnerAddress>()
  for (const worker of workers) HashRing.add(ring, addressOf(worker))
  return HashRing.getShards(ring, partitions)!.map(({ host }) => host)
}

const countsOf = (owners: ReadonlyArray<string>): ReadonlyArray<number> =>
  Array.from(Map.groupBy(owners, (owner) => owner).values(), ({ length }) => length)

describe("partitions", () => {
  test.each([1, 2, 3, 4, 5, 7, 16])("of a log are spread over %i workers: to each its share at least", (count) => {
    for (const partitions of [16, 64]) {
      const workers = Array.from({ length: count }, newWorkerName)
      const counts = countsOf(placed(workers, partitions))
      const share = Math.floor(partitions / count)
      expect(counts.length).toBe(count)
      expect(Math.min(...counts)).toBe(share)
      // What is left over falls where the hash says; with one left over that is even.
      expect(Math.max(...counts)).toBeLessThanOrEqual(share + (partitions % count))
    }
  })

  test("move no more than they must by much when a worker joins", () => {
    let moved = 0
    const rounds = 50
    for (let round = 0; round < rounds; round++) {
      const workers = Array.from({ length: 3 }, newWorkerName)
      const before = placed(workers, 16)
      const after = placed([...workers, newWorkerName()], 16)
      moved += before.filter((owner, n) => owner !== after[n]).length
    }
    // Four of sixteen must move; a few more do, so that shares stay even.
    expect(moved / rounds).toBeLessThan(8)
  })

  test("have names that stand on shards of their own", async () => {
    const shards = await Effect.runPromise(
      Effect.gen(function* () {
        const sharding = yield* Sharding.Sharding
        const shardOf = (name: string) => sharding.getShardId(EntityId.make(name), "default").id
        return Array.from({ length: 16 }, (_, n) => shardOf(nameOnShard(`partition-${n}`, n + 1, shardOf)))
      }).pipe(
        Effect.provide(TestRunner.layer.pipe(Layer.provide(ShardingConfig.layer({ shardsPerGroup: 16 })))),
        Effect.scoped,
      ),
    )
    expect(shards).toEqual(Array.from({ length: 16 }, (_, n) => n + 1))
  })
})
