import { hostname, userInfo } from "node:os"
import { Data, Effect } from "effect"
import { EventLog } from "../../domain/log/EventLog.ts"
import { ALL_PARTITIONS, Operations } from "../../domain/projection/Operations.ts"
import { beginAnew, type BeginOptions } from "../projection/beginAnew.ts"
import { prepare } from "../projection/prepare.ts"

/** A partition that the log does not have. */
export class NoSuchPartition extends Data.TaggedError("NoSuchPartition")<{
  readonly partition: number
  readonly partitions: number
}> {
  override get message(): string {
    return `There is no partition ${this.partition}: the log has ${this.partitions}, from 0 to ${this.partitions - 1}.`
  }
}

/** One partition is to go on while all of them are paused. */
export class AllPaused extends Data.TaggedError("AllPaused")<{
  readonly partition: number
  readonly sentence: string
}> {
  override get message(): string {
    return `Partition ${this.partition} alone can't go on, since all are paused (${this.sentence}). "tidemark resume" without --partition lets all of them go on.`
  }
}

const checked = Effect.fnUntraced(function* (partition: number | null) {
  const { partitions } = yield* EventLog
  if (partition === null) return ALL_PARTITIONS
  if (partition < 0 || partition >= partitions) return yield* new NoSuchPartition({ partition, partitions })
  return partition
})

/**
 * Lets the workers stop at one partition, or all. Once this is through no step of theirs is committed: what is being
 * committed ends before, and steps in hand are refused, to be made again after `resume`. Questions are answered, and events
 * go on into the log.
 */
export const pause = Effect.fn("pause")(function* (partition: number | null) {
  const operations = yield* Operations
  const sentence = `Paused by ${userInfo().username} on ${hostname()}; "tidemark resume" lets it go on.`
  yield* operations.pause({ group: null, partition: yield* checked(partition), cause: "operator", sentence })
})

/**
 * Lets the workers go on at one partition, or all, whoever or whatever paused them; gives what was lifted. Taking over is over by
 * itself. One partition is refused while all are paused.
 */
export const resume = Effect.fn("resume")(function* (partition: number | null) {
  const operations = yield* Operations
  const chosen = yield* checked(partition)
  const { pauses } = yield* operations.look
  const ofAll = pauses.find((it) => it.partition === ALL_PARTITIONS && it.cause !== "takeover")
  if (chosen !== ALL_PARTITIONS && ofAll !== undefined) {
    return yield* new AllPaused({ partition: chosen, sentence: ofAll.sentence })
  }
  return yield* operations.resume(chosen, ["operator", "budget", "crash"])
})

/** What workers could not go on from may be over with the tables; who still can't go on says so again. */
export const forgetStops = Effect.gen(function* () {
  const operations = yield* Operations
  const { stops } = yield* operations.look
  for (const { group, partition } of stops) yield* operations.goOn(group, partition)
})

/**
 * Takes the read model back to the beginning of the log, so that it is made anew from the log as it is: by the workers if
 * there are any. Without `acceptLog` only when the log still holds what the read model was made from; with it, a log that
 * was put back to an older copy is taken for the truth from now on.
 *
 * There is no going back to a place in between: cells are sums over persons whose events lie in all partitions, and what
 * later events have added to them can't be told from the rest.
 */
export const rewind = Effect.fn("rewind")(function* (options: BeginOptions = {}) {
  yield* beginAnew(options)
  yield* forgetStops
  // What the workers need to begin; a worker that coordinates would do it a little later.
  yield* prepare
})
