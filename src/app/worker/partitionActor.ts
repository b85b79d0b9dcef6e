import { Effect, FiberMap } from "effect"
import { LIVE_GROUP } from "../../domain/projection/ReadModel.ts"
import { TURN_MILLIS } from "./limits.ts"
import { partitionLoop } from "./partitionLoop.ts"
import { Watch } from "./Watch.ts"

/**
 * Runs one partition for all groups: the default group, and beside it those that are building, as they come and go. One
 * actor for all of them, since a group that builds follows the default group batch by batch, and reads the same records.
 */
export const partitionActor = Effect.fn("partitionActor")(function* (partition: number) {
  const watch = yield* Watch
  const builds = yield* FiberMap.make<string>()
  yield* partitionLoop(LIVE_GROUP, partition).pipe(Effect.forkScoped)
  for (;;) {
    for (const group of watch.latest()?.outlook.groups ?? []) {
      if (group === LIVE_GROUP) continue
      yield* FiberMap.run(builds, group, partitionLoop(group, partition), { onlyIfMissing: true })
    }
    yield* Effect.sleep(TURN_MILLIS)
  }
}, Effect.scoped)
