import { Cause, Effect, Exit, Layer, Stream } from "effect"
import { record, recordSettings } from "../../src/app/control.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { buildGroups, liveGroup } from "../../src/app/projection/groups.ts"
import { claimPartition, KeysApart } from "../../src/app/projection/PartitionProjection.ts"
import { prepare } from "../../src/app/projection/prepare.ts"
import { Projector } from "../../src/app/projection/Projector.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import { EventLog } from "../../src/domain/log/EventLog.ts"
import { LIVE_GROUP, type Build, ReadModel } from "../../src/domain/projection/ReadModel.ts"
import type { Random } from "../../src/domain/simulate/random.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"
import { onePortion } from "../support/countPortion.ts"
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
      return record(
        job.definitions.map((definition) => ({
          name: "metric_applied",
          body: { definition, promote: job.promote, by: null, why: null },
        })),
      )
    case "decisions":
      return record(job.facts)
  }
}

/**
 * One partition of one group, as a worker among many would: in small steps, while others are at work on other partitions.
 * Whoever finds a build where live stands takes it over.
 */
export const workOnce = Effect.fnUntraced(function* (owner: string, random: Random, beside: boolean) {
  const log = yield* EventLog
  const readModel = yield* ReadModel
  const { settings, versions } = yield* prepare
  const zone = TimeZone.of(settings.timeZone)!
  const group = random.oneOf([liveGroup(versions, zone), ...buildGroups(versions, zone)])
  const partition = random.between(0, log.partitions - 1)
  const live = group.name === LIVE_GROUP ? null : yield* readModel.checkpoint(LIVE_GROUP, partition)
  const projection = yield* claimPartition(group, partition, settings, owner).pipe(
    Effect.provideService(KeysApart, random.oneOf([1, 3, 500])),
  )
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
  if (beside) yield* rebuildBeside(versions, random)
  if (random.chance(0.5)) yield* readModel.countNext(group.name, random.between(1, 4), onePortion)
  if (group.name !== LIVE_GROUP) yield* readModel.adopt(group.name)
  yield* readModel.sweep(1)
})

/** An operator who has some of what is live built once more, and lets it take its place when it is ready, or gives it up. */
const rebuildBeside = Effect.fnUntraced(function* (versions: ReadonlyArray<Build>, random: Random) {
  const readModel = yield* ReadModel
  const made = yield* readModel.made
  if (made === null) return
  const ids = (of: ReadonlyArray<Build>) => of.filter(() => random.chance(0.5)).map(({ id }) => id)
  const again = versions.filter(({ build }) => build > 1)
  if (random.chance(0.3)) yield* readModel.rebuild(ids(versions), made)
  if (random.chance(0.5)) yield* readModel.makeLive(ids(again.filter(({ state }) => state === "ready")), made)
  const notLive = again.filter(({ state }) => state !== "live" && random.chance(0.5))
  if (random.chance(0.2)) yield* readModel.drop(notLive, made)
})

/** The typed failure of an exit, or its defect; `null` when it succeeded. */
export const failureOf = (exit: Exit.Exit<unknown, { readonly _tag: string; readonly message: string }>) => {
  if (Exit.isSuccess(exit)) return null
  const failure = exit.cause.reasons.find(Cause.isFailReason)?.error
  return failure ?? { _tag: "Defect", message: Cause.pretty(exit.cause) }
}
