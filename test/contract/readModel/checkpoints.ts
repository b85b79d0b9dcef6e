import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { ALL_PARTITIONS, Operations, type PauseCause } from "../../../src/domain/projection/Operations.ts"
import { LIVE_GROUP } from "../../../src/domain/projection/ReadModel.ts"
import { emptied } from "../../support/emptied.ts"
import { dedupeEntry, TOKYO, DAY, position, checkpoint, stepOf, cellStep, identity, factRow, dump } from "./fixtures.ts"
import type { World } from "./world.ts"

/** Who may commit, and from where. */
export const checkpointsContract = (world: World): void => {
  const { run, committingUnder, committing, commit, failureOf, amountsOf } = world

  describe("the checkpoint", () => {
    test("moves from where the step read, and carries all that goes with it", async () => {
      await commit(stepOf(1))
      expect(await run(world.readModel.checkpoint(LIVE_GROUP, 0))).toEqual(checkpoint(1))
      await commit(stepOf(2))
      expect(await run(world.readModel.checkpoint(LIVE_GROUP, 0))).toEqual(checkpoint(2))
    })

    test("is one for every group and partition", async () => {
      await commit(stepOf(1))
      await commit(stepOf(1, { partition: 1 }))
      await commit(stepOf(1, { group: "build-7" }))
      await commit(stepOf(2, { group: "build-7" }))
      expect((await run(world.readModel.checkpoint(LIVE_GROUP, 0)))?.position).toEqual(position(1))
      expect((await run(world.readModel.checkpoint(LIVE_GROUP, 1)))?.position).toEqual(position(1, 1))
      expect((await run(world.readModel.checkpoint("build-7", 0)))?.position).toEqual(position(2))
      expect(await run(world.readModel.checkpoint("build-8", 0))).toBeNull()
      const { checkpoints } = await run(world.queries.standing)
      expect(checkpoints.map(({ position }) => position)).toEqual([position(1), position(1, 1)])
    })

    test.each([
      ["the beginning", null],
      ["an earlier place", position(1)],
      ["a later place", position(3)],
      ["another batch", { ...position(2), batchId: "other.0.2" }],
      ["another log", { ...position(2), incarnation: "other" }],
    ])("refuses a step that read from %s, and writes nothing of it", async (_, expected) => {
      await commit(cellStep(1, [["a", "events", "1"]]))
      await commit(stepOf(2))
      const before = await run(dump)
      const step = stepOf(3, {
        expected,
        measures: [1],
        changes: {
          identities: [identity(1, "u:ann")],
          statements: [{ first: "a", second: "b", time: 1, joined: true }],
          measures: [
            {
              facts: [{ key: 1, rows: [factRow("")], replaces: false }],
              cells: [{ day: DAY, item: "a", stat: "events", amount: "5", cause: "late-data" as const }],
            },
          ],
        },
        intake: [{ day: DAY, item: "", stat: "accepted", amount: "5", cause: "late-data" as const }],
        dedupe: [dedupeEntry(3, 1, ["id"])],
        duplicates: [{ sequence: 3, places: [0] }],
        failures: [{ partition: 0, sequence: 3, place: 0, metric: "m", cause: "c" }],
      })
      const error = await failureOf(committing(step))
      expect(error).toMatchObject({ _tag: "CheckpointConflict", group: LIVE_GROUP, partition: 0, expected })
      expect(error.message).toContain("another projector has gone on, or it was paused. Nothing was written.")
      expect(await run(dump)).toEqual(before)
      await commit({ ...step, expected: position(2) })
      expect(await run(dump)).not.toEqual(before)
    })

    describe("and pauses", () => {
      const pausing = (cause: PauseCause, partition: number) =>
        Operations.use((operations) => operations.pause({ group: null, partition, cause, sentence: "Enough." }))
      const resuming = Operations.use((operations) => operations.resume(ALL_PARTITIONS, ["operator", "budget"]))

      test("an operator's refuses all steps under claims from before it, in every group", async () => {
        const of = (group: string, partition: number, sequence: number) => stepOf(sequence, { group, partition })
        const places = [LIVE_GROUP, "build-7"].flatMap((group) =>
          [0, 1].map((partition) => [group, partition] as const),
        )
        for (const [group, partition] of places) await commit(of(group, partition, 1))
        await run(pausing("budget", 1))
        for (const [group, partition] of places) await commit(of(group, partition, 2))
        await run(pausing("operator", 1))
        for (const group of [LIVE_GROUP, "build-7"]) {
          await commit(of(group, 0, 3))
          expect(await failureOf(committing(of(group, 1, 3)))).toMatchObject({ _tag: "CheckpointConflict", group })
        }
        await run(pausing("operator", ALL_PARTITIONS))
        expect(await failureOf(committing(of(LIVE_GROUP, 0, 4)))).toMatchObject({ _tag: "CheckpointConflict" })
        await run(resuming)
      })
    })

    test("is moved once by two steps from one place at one time", async () => {
      await commit(stepOf(1))
      const attempt = (n: number) => Effect.exit(committing(cellStep(2, [[`item ${n}`, "events", "1"]])))
      const outcomes = await run(Effect.forEach([1, 2, 3, 4], attempt, { concurrency: "unbounded" }))
      expect(outcomes.filter(({ _tag }) => _tag === "Success").length).toBe(1)
      expect((await amountsOf()).size).toBe(1)
    })
  })

  describe("a claim", () => {
    const claim = (owner: string, group = LIVE_GROUP, partition = 0) =>
      run(world.readModel.claim(group, partition, owner))

    test("raises the epoch and gives the checkpoint, of its own group and partition", async () => {
      const first = await claim("one")
      expect(first.checkpoint).toBeNull()
      expect(await run(world.readModel.checkpoint(LIVE_GROUP, 0))).toBeNull()
      expect((await run(world.queries.standing)).checkpoints).toEqual([])
      const again = await claim("one")
      expect(again.epoch).toBeGreaterThan(first.epoch)
      expect(again.checkpoint).toBeNull()
      await run(committingUnder(stepOf(1), again.epoch))
      const other = await claim("other")
      expect(other.epoch).toBeGreaterThan(again.epoch)
      expect(other.checkpoint).toEqual(checkpoint(1))
      expect(await run(world.readModel.checkpoint(LIVE_GROUP, 0))).toEqual(checkpoint(1))
      await claim("one", LIVE_GROUP, 1)
      await claim("one", "build-7")
      await run(committingUnder(stepOf(2), other.epoch))
    })

    const earlierEpoch = async () => {
      const first = await claim("one")
      await run(committingUnder(cellStep(1, [["a", "events", "1"]]), first.epoch))
      return { first, second: await claim("other") }
    }
    const everything = (sequence: number) =>
      cellStep(sequence, [["a", "events", "1"]], {
        intake: [{ day: DAY, item: "", stat: "accepted", amount: "5", cause: "late-data" }],
        dedupe: [dedupeEntry(sequence, 1, ["id"])],
        duplicates: [{ sequence, places: [0] }],
        failures: [{ partition: 0, sequence, place: 0, metric: "m", cause: "c" }],
      })

    test("ends the steps of the owner before it, also where it has committed nothing", async () => {
      const { first, second } = await earlierEpoch()
      const before = await run(dump)
      const error = await failureOf(committingUnder(everything(2), first.epoch))
      expect(error).toMatchObject({ _tag: "CheckpointConflict", expected: position(1), epoch: first.epoch })
      expect(error.message).toContain(
        `under epoch ${first.epoch}: another projector has gone on, or it was paused. Nothing was written.`,
      )
      expect(await run(dump)).toEqual(before)
      await run(committingUnder(everything(2), second.epoch))
    })

    test("ends the steps of the owner before it where it has gone on, wherever these read from", async () => {
      const { first, second } = await earlierEpoch()
      await run(committingUnder(everything(2), second.epoch))
      const before = await run(dump)
      for (const sequence of [2, 3]) {
        const error = await failureOf(committingUnder(everything(sequence), first.epoch))
        expect(error).toMatchObject({ _tag: "CheckpointConflict", epoch: first.epoch })
      }
      expect(await run(dump)).toEqual(before)
    })

    test.each([
      ["everything was wiped", LIVE_GROUP, () => Effect.asVoid(emptied(world.readModel, TOKYO))],
      ["its group was taken over", "build-1", () => Effect.asVoid(world.readModel.adopt("build-1"))],
    ] as const)("ends the steps of an owner from before %s", async (_, group, ending) => {
      const first = await claim("one", group)
      await run(ending())
      const second = await claim("other", group)
      expect(second.checkpoint).toBeNull()
      const before = await run(dump)
      const step = cellStep(1, [["", "users", "1"]], { group })
      const error = await failureOf(committingUnder(step, first.epoch))
      expect(error).toMatchObject({ _tag: "CheckpointConflict", group, epoch: first.epoch })
      expect(await run(dump)).toEqual(before)
      await run(committingUnder(step, second.epoch))
    })

    test("must come before the first step", async () => {
      const before = await run(dump)
      const error = await failureOf(committingUnder(everything(1), 1))
      expect(error).toMatchObject({ _tag: "CheckpointConflict", expected: null, epoch: 1 })
      const { epoch } = await claim("one", LIVE_GROUP, 1)
      await failureOf(committingUnder(everything(1), epoch))
      const { checkpoints: _, ...others } = await run(dump)
      expect({ ...others, checkpoints: [] }).toEqual(before)
    })

    test.each([
      ["claim", ["claim", "commit"]],
      ["step", ["commit", "claim"]],
    ] as const)("and a step at one time: the %s is first, and the other knows of it", async (_, order) => {
      const { epoch } = await claim("one")
      const attempts = {
        claim: Effect.map(world.readModel.claim(LIVE_GROUP, 0, "other"), ({ checkpoint }) => checkpoint !== null),
        commit: Effect.match(committingUnder(cellStep(1, [["a", "events", "1"]]), epoch), {
          onFailure: ({ _tag }) => _tag !== "CheckpointConflict",
          onSuccess: () => true,
        }),
      }
      const [one, other] = await run(
        Effect.all(
          order.map((name) => attempts[name]),
          { concurrency: "unbounded" },
        ),
      )
      expect(one).toBe(other)
      expect((await amountsOf()).size).toBe(one! ? 1 : 0)
    })
  })
}
