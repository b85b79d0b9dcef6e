import { Cause, Effect, Exit, Layer, Stream } from "effect"
import { recordDefinitions, recordSettings } from "../../src/app/control.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { settleUncounted } from "../../src/domain/projection/settle.ts"
import { buildGroups, liveGroup } from "../../src/app/projection/groups.ts"
import { claimPartition } from "../../src/app/projection/PartitionProjection.ts"
import { prepare } from "../../src/app/projection/prepare.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { LIVE_GROUP, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import type { Random } from "../../src/domain/simulate/random.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import type { SimulatedLog } from "./SimulatedLog.ts"
import type { SimulatedReadModel } from "./SimulatedReadModel.ts"
import type { Job } from "./story.ts"
import type { Process } from "./World.ts"

/** The servers that all processes talk to. */
export interface Servers {
  readonly log: SimulatedLog
  readonly readModel: SimulatedReadModel
}

export type Products = EventLog | LogWriter | Projector | ReadModel

/** The product as one process runs it: its own code and memory, over ports of its own. */
export const productOf = (
  { log, readModel }: { readonly log: SimulatedLog; readonly readModel: Pick<SimulatedReadModel, "open"> },
  process: Process,
) =>
  Layer.merge(LogWriter.layer, Projector.layer).pipe(
    Layer.provideMerge(Layer.succeed(EventLog, log.open(process))),
    Layer.provideMerge(Layer.succeed(ReadModel, readModel.open(process))),
  )

/** Writes a job to the log, once; it may fail. */
export const write = (job: Job) => {
  switch (job.what) {
    case "events":
      return Effect.asVoid(LogWriter.use((writer) => writer.append(job.events)))
    case "settings":
      return recordSettings(job.settings)
    case "metrics":
      return recordDefinitions(job.definitions)
  }
}

/**
 * One partition of one group, as a worker among many would: in small steps, while others are at work on other partitions.
 * Whoever finds a build where live stands promotes it.
 */
export const workOnce = Effect.fnUntraced(function* (owner: string, random: Random) {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  const { settings, versions } = yield* prepare
  const zone = TimeZone.of(settings.timeZone)!
  const group = random.oneOf([liveGroup(versions, zone), ...buildGroups(versions, zone)])
  const partition = random.between(0, log.partitions - 1)
  const live = group.name === LIVE_GROUP ? null : yield* readModel.checkpoint(LIVE_GROUP, partition)
  const projection = yield* claimPartition(group, partition, settings, owner)
  yield* readBatches(partition, {
    after: projection.checkpoint()?.position.sequence ?? 0,
    chain: projection.chain,
    ...(group.name === LIVE_GROUP ? {} : { upTo: live?.position.sequence ?? 0 }),
  }).pipe(
    Stream.runForEach((opened) =>
      Effect.andThen(projection.take(opened), () => (random.chance(0.5) ? projection.commit() : Effect.void)),
    ),
  )
  yield* projection.commit()
  if (random.chance(0.5)) yield* readModel.countNext(group.name, random.between(1, 4), settleUncounted)
  if (group.name !== LIVE_GROUP) yield* readModel.promote(group.name)
})

/** The typed failure of an exit, or its defect; `null` when it succeeded. */
export const failureOf = (exit: Exit.Exit<unknown, { readonly _tag: string; readonly message: string }>) => {
  if (Exit.isSuccess(exit)) return null
  const failure = exit.cause.reasons.find(Cause.isFailReason)?.error
  return failure ?? { _tag: "Defect", message: Cause.pretty(exit.cause) }
}
