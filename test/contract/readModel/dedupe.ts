import { describe, expect, test } from "vitest"
import { dedupeEntry, stepOf } from "./fixtures.ts"
import type { World } from "./world.ts"

/** What was kept of ids. */
export const dedupeContract = (world: World): void => {
  const { run, commit } = world

  describe("dedupe", () => {
    const entry = (sequence: number, loggedAt: number) => {
      const found = dedupeEntry(sequence, loggedAt, [`a${sequence}`, "\0😀", "c"])
      // A repeat.
      found.fingerprints.fill(0, 4)
      return found
    }

    test("entries come back as they went in, in order, from a moment on", async () => {
      const entries = [entry(1, 100), entry(2, 100), entry(3, 300)]
      await commit(stepOf(1, { dedupe: entries.toReversed() }))
      await commit(stepOf(1, { partition: 1, dedupe: [entry(1, 5)] }))
      expect(await run(world.readModel.dedupeEntries(0, Number.NEGATIVE_INFINITY))).toEqual(entries)
      expect(await run(world.readModel.dedupeEntries(0, 101))).toEqual(entries.slice(2))
      expect(await run(world.readModel.dedupeEntries(1, 0))).toEqual([entry(1, 5)])
    })

    test("entries before the horizon are forgotten, in their partition alone", async () => {
      await commit(stepOf(1, { dedupe: [entry(1, 100), entry(2, 200)] }))
      await commit(stepOf(1, { partition: 1, dedupe: [entry(1, 100)] }))
      await commit(stepOf(2, { dedupe: [entry(3, 300)], dedupeFrom: 200 }))
      expect(await run(world.readModel.dedupeEntries(0, 0))).toEqual([entry(2, 200), entry(3, 300)])
      expect((await run(world.readModel.dedupeEntries(1, 0))).length).toBe(1)
    })

    test("places of duplicates come back by batch", async () => {
      await commit(
        stepOf(1, {
          duplicates: [
            { sequence: 1, places: [0, 4095] },
            { sequence: 2 ** 32, places: [7] },
          ],
        }),
      )
      await commit(stepOf(1, { partition: 1, duplicates: [{ sequence: 1, places: [1] }] }))
      expect(await run(world.readModel.duplicates(0, 0))).toEqual(
        new Map([
          [1, new Set([0, 4095])],
          [2 ** 32, new Set([7])],
        ]),
      )
      expect(await run(world.readModel.duplicates(0, 1))).toEqual(new Map([[2 ** 32, new Set([7])]]))
      expect(await run(world.readModel.duplicates(0, 2 ** 32))).toEqual(new Map())
      expect(await run(world.readModel.duplicates(1, 0))).toEqual(new Map([[1, new Set([1])]]))
    })

    test("is the default group's alone", async () => {
      await commit(stepOf(1, { group: "build-2", dedupe: [entry(1, 1)], duplicates: [{ sequence: 1, places: [0] }] }))
      expect(await run(world.readModel.dedupeEntries(0, 0))).toEqual([])
      expect(await run(world.readModel.duplicates(0, 0))).toEqual(new Map())
    })
  })
}
