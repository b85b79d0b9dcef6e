import { Effect, Exit } from "effect"
import { describe, expect, test } from "vitest"
import { BUILTIN_METRICS } from "../../../src/domain/metric/builtin.ts"
import { EVERYBODY } from "../../../src/domain/projection/counted.ts"
import { LIVE_GROUP, type PersonCounter } from "../../../src/domain/projection/ReadModel.ts"
import { PersonCount } from "../../../src/domain/projection/PersonCount.ts"
import { DEFAULT_SETTINGS } from "../../../src/domain/settings.ts"
import type { StepChanges } from "../../../src/domain/projection/StepChanges.ts"
import { dump, factRow, identity, NO_CHANGES, RANGE, stepOf } from "./fixtures.ts"
import { onePortion } from "../../support/countPortion.ts"
import type { World } from "./world.ts"

/** Persons whose facts were only gathered, and that are counted some at a time. */
export const countingContract = (world: World): void => {
  const { run, commit, committing, countAll, amountsOf } = world

  describe("counting", () => {
    /** Three users, who did something on the 1st and 3rd of a month, of a metric that counts nobody yet. */
    const gathered = async () => {
      const [measure] = await run(world.readModel.register([BUILTIN_METRICS.activeUsers]))
      const keys = [1, 2, 3]
      const changes: StepChanges = {
        ...NO_CHANGES,
        identities: keys.map((key) => identity(key, `u:${key}`)),
        measures: [{ facts: keys.map((key) => ({ key, rows: [factRow("")], replaces: false })), cells: [] }],
      }
      await commit(stepOf(1, { measures: [measure!.id], changes }))
      return measure!.id
    }
    const count = (limit: number, begin: () => PersonCounter = onePortion) =>
      run(world.readModel.countNext(LIVE_GROUP, limit, begin))
    const users = async (measure: number) => (await amountsOf(measure)).get(JSON.stringify(["", "users"]))

    test("adds what each person contributes, once", async () => {
      const measure = await gathered()
      expect(await users(measure)).toBeUndefined()
      expect(await run(world.queries.counting)).toEqual(new Map([[LIVE_GROUP, 0]]))
      expect(await count(2)).toBe(false)
      expect(await users(measure)).toBe("2")
      expect((await run(world.queries.counting)).get(LIVE_GROUP)).toBeCloseTo(2 / 3)
      expect(await count(2)).toBe(false)
      expect(await users(measure)).toBe("3")
      expect([await count(2), await count(2)]).toEqual([true, true])
      expect(await users(measure)).toBe("3")
      expect(await run(world.queries.counting)).toEqual(new Map())
      const [cell] = await run(world.queries.cells(measure, RANGE))
      expect(cell).toMatchObject({ revisedAt: null, revisionCause: null })
    })

    test("takes more in the same transaction as long as the counter lets them come", async () => {
      const measure = await gathered()
      const portions: Array<ReadonlyArray<number>> = []
      const begin = (limits: ReadonlyArray<number>) => () => {
        let taken = 0
        return new PersonCount(({ identities, counted }) => {
          portions.push([counted.from, counted.to, identities.length])
          return limits[taken++]!
        })
      }
      expect(await count(1, begin([1, 0]))).toBe(false)
      expect(portions).toEqual([
        [0, 1, 1],
        [1, 2, 1],
      ])
      expect(await users(measure)).toBe("2")
      expect(await count(1, begin([1]))).toBe(true)
      expect(portions.slice(2)).toEqual([[2, 3, 1]])
      expect(await users(measure)).toBe("3")
      expect(await run(world.queries.cells(measure, RANGE))).toHaveLength(4)
    })

    test("that fails leaves everything as it was, and the next one begins there", async () => {
      const measure = await gathered()
      await count(1)
      const before = await run(dump)
      const fails = () => ({
        ...onePortion(),
        take: () => {
          throw new Error("of a reason")
        },
      })
      expect(Exit.isFailure(await run(Effect.exit(world.readModel.countNext(LIVE_GROUP, 1, fails))))).toBe(true)
      expect(await run(dump)).toEqual(before)
      await countAll(LIVE_GROUP)
      expect(await users(measure)).toBe("3")
    })

    test("is done by several at once, and each person is counted once", async () => {
      const measure = await gathered()
      const both = Effect.all(
        [1, 1, 1, 1, 1].map((limit) => world.readModel.countNext(LIVE_GROUP, limit, onePortion)),
        {
          concurrency: "unbounded",
        },
      )
      expect((await run(both)).filter((done) => !done)).toHaveLength(3)
      expect(await users(measure)).toBe("3")
    })

    test("gives no answers until everybody is counted, also where nobody is there yet", async () => {
      await run(Effect.flatMap(world.readModel.made, (made) => world.readModel.markWhole(made!)))
      expect(await run(world.readModel.isWhole)).toBe(true)
      await gathered()
      expect(await run(world.readModel.isWhole)).toBe(false)
      await countAll(LIVE_GROUP)
      expect(await run(world.readModel.isWhole)).toBe(true)
    })

    test("tells steps up to whom their measures count", async () => {
      const measure = await gathered()
      await count(2)
      const seen: Array<ReadonlyArray<number>> = []
      const { changes: _, ...step } = stepOf(2, { measures: [measure, 77] })
      const epoch = await run(world.epochOf(LIVE_GROUP, 0))
      await run(
        world.readModel.commit({ ...step, epoch }, ({ countedTo }) => {
          seen.push(countedTo)
          return Effect.succeed({ ...NO_CHANGES, measures: [] })
        }),
      )
      expect(seen).toEqual([[2, EVERYBODY]])
    })

    test("of a build that was dropped, or of tables that were emptied, is over", async () => {
      await gathered()
      await countAll(LIVE_GROUP)
      const metric = (version: number) => ({ ...BUILTIN_METRICS.activeUsers, name: "built", version })
      const register = async (version: number) => (await run(world.readModel.register([metric(version)]))).at(-1)!
      const dropped = await register(1)
      const { group } = await register(2)
      await run(Effect.flatMap(world.readModel.made, (made) => world.readModel.drop([dropped], made!)))
      const of = (name: string) => run(world.readModel.countNext(name, 1, onePortion))
      expect([await of(dropped.group), await of(group)]).toEqual([true, false])
      await run(Effect.flatMap(world.readModel.made, (made) => world.readModel.wipe(DEFAULT_SETTINGS, made)))
      expect(await of(group)).toBe(true)
      world.epochs.clear()
      await run(committing(stepOf(1)))
    })
  })
}
