import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import type { MetricDefinition } from "../../src/domain/metric/definition.ts"
import type { DistinctId } from "../../src/domain/identity/distinctId.ts"
import type { StepChanges } from "../../src/domain/projection/StepChanges.ts"
import { fingerprintsOf } from "../../src/domain/projection/fingerprint.ts"
import { ReadModelUnavailable } from "../../src/domain/projection/errors.ts"
import { EVERYBODY } from "../../src/domain/projection/counted.ts"
import {
  type Checkpoint,
  type CountedPortion,
  LIVE_GROUP,
  type PersonCounter,
  type ReadModel,
  type Step,
} from "../../src/domain/projection/ReadModel.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { emptied } from "../support/emptied.ts"

const checkpoint = (sequence: number): Checkpoint => ({
  position: { incarnation: "inc", partition: 0, sequence, batchId: `w.0.${sequence}` },
  chain: { w: { number: sequence, sum: "00", loggedAt: sequence } },
  logTime: sequence,
  counts: { projected: sequence, duplicates: 0, conflicts: 0, personless: 0 },
})

const stepTo = (sequence: number, epoch: number, over: Partial<Step> = {}): Step => ({
  group: LIVE_GROUP,
  partition: 0,
  epoch,
  expected: sequence === 1 ? null : checkpoint(sequence - 1).position,
  next: checkpoint(sequence),
  measures: [],
  intake: [],
  dedupe: [{ sequence, loggedAt: sequence, fingerprints: fingerprintsOf([`e${sequence}`]) }],
  dedupeFrom: Number.NEGATIVE_INFINITY,
  duplicates: [],
  failures: [],
  revises: () => false,
  ...over,
})

const NOTHING: StepChanges = { identities: [], statements: [], measures: [] }

const NOTHING_COUNTED: CountedPortion = { identities: [], facts: [], nextLimit: 0 }

const counting = (take: PersonCounter["take"]) => (): PersonCounter => ({ take, cells: () => [] })

const countingNothing = counting(() => NOTHING_COUNTED)

const nothing = () => Effect.succeed(NOTHING)

const metric = (version: number): MetricDefinition => ({ name: "clicks", version, formula: { kind: "event-count" } })

type Service = ReadModel["Service"]

/**
 * What the simulation relies on in its read model's database, run against that and against the real one, so that both do
 * the same.
 */
export const ownershipContract = (name: string, open: () => Promise<Service>): void => {
  describe(`${name}: who may commit`, () => {
    const scenario = (title: string, run: (readModel: Service) => Effect.Effect<unknown, unknown>): void => {
      test(title, async () => {
        const readModel = await open()
        await Effect.runPromise(Effect.andThen(emptied(readModel, DEFAULT_SETTINGS), run(readModel)))
      })
    }
    const refused = (effect: Effect.Effect<void, { readonly _tag: string }>) =>
      Effect.map(Effect.flip(effect), ({ _tag }) => expect(_tag).toBe("CheckpointConflict"))
    const claim = (readModel: Service, group = LIVE_GROUP) => readModel.claim(group, 0, "owner")

    scenario("the last to claim commits, from where the checkpoint is; a step refused leaves nothing", (readModel) =>
      Effect.gen(function* () {
        const first = yield* claim(readModel)
        expect(first.checkpoint).toBeNull()
        yield* readModel.commit(stepTo(1, first.epoch), nothing)
        const second = yield* claim(readModel)
        expect(second.epoch).toBeGreaterThan(first.epoch)
        expect(second.checkpoint).toEqual(checkpoint(1))
        yield* refused(readModel.commit(stepTo(2, first.epoch), nothing))
        expect(yield* readModel.dedupeEntries(0, 0)).toHaveLength(1)
        yield* readModel.commit(stepTo(2, second.epoch), nothing)
        yield* refused(readModel.commit(stepTo(2, second.epoch), nothing))
        expect(yield* readModel.checkpoint(LIVE_GROUP, 0)).toEqual(checkpoint(2))
      }),
    )

    scenario("a step without a claim is refused", (readModel) => refused(readModel.commit(stepTo(1, 1), nothing)))

    scenario("a step whose claim is taken while it is settled is refused, and leaves nothing", (readModel) =>
      Effect.gen(function* () {
        const { epoch } = yield* claim(readModel)
        // PGlite has one connection, so what happens meanwhile happens within.
        const settle = () => Effect.as(Effect.orDie(claim(readModel)), NOTHING)
        yield* refused(readModel.commit(stepTo(1, epoch), settle))
        expect(yield* readModel.checkpoint(LIVE_GROUP, 0)).toBeNull()
        expect(yield* readModel.dedupeEntries(0, 0)).toEqual([])
      }),
    )

    scenario("a step that can't be settled leaves nothing", (readModel) =>
      Effect.gen(function* () {
        const { epoch } = yield* claim(readModel)
        const failure = new ReadModelUnavailable({ attempted: "test", reason: "no reason", retryable: true })
        expect(yield* Effect.flip(readModel.commit(stepTo(1, epoch), () => failure))).toMatchObject({
          reason: "no reason",
        })
        expect(yield* readModel.dedupeEntries(0, 0)).toEqual([])
        yield* readModel.commit(stepTo(1, epoch), nothing)
      }),
    )

    scenario("a distinct id is added once", (readModel) =>
      Effect.gen(function* () {
        const { epoch } = yield* claim(readModel)
        const add = (key: number): StepChanges => ({
          ...NOTHING,
          identities: [{ key, distinctId: "u:ann", older: false, person: key, link: null }],
        })
        yield* readModel.commit(stepTo(1, epoch), (known) =>
          Effect.map(known.identities(["u:ann"], false), ({ newKeys }) => add(newKeys[0]!)),
        )
        // As a step would that looked before.
        const failure = yield* Effect.flip(readModel.commit(stepTo(2, epoch), () => Effect.succeed(add(99))))
        expect(failure._tag).toBe("ReadModelUnavailable")
        expect(yield* readModel.checkpoint(LIVE_GROUP, 0)).toEqual(checkpoint(1))
      }),
    )

    scenario("distinct ids are given keys once, for a claim that holds, and a step finds them", (readModel) =>
      Effect.gen(function* () {
        const { epoch } = yield* claim(readModel)
        const at = (expected: Step["expected"], epoch: number) => ({ group: LIVE_GROUP, partition: 0, epoch, expected })
        const [ann, device] = yield* readModel.keysOf(at(null, epoch), ["u:ann", "a:d1"])
        const [again, bob, first] = yield* readModel.keysOf(at(null, epoch), ["a:d1", "u:bob", "u:ann"])
        expect([again, first]).toEqual([device, ann])
        expect(new Set([ann, device, bob]).size).toBe(3)
        const fresh = (key: number, distinctId: DistinctId) => ({
          key,
          distinctId,
          older: false,
          person: key,
          link: null,
        })
        yield* readModel.commit(stepTo(1, epoch), (known) =>
          Effect.gen(function* () {
            expect((yield* known.identities([], false, [device!])).rows).toEqual([fresh(device!, "a:d1")])
            const { rows, newKeys } = yield* known.identities(["u:bob", "u:cid"], false)
            expect(rows).toEqual([fresh(bob!, "u:bob")])
            expect([ann, device, bob]).not.toContain(newKeys[0])
            return {
              ...NOTHING,
              identities: [{ ...fresh(device!, "a:d1"), person: ann!, link: { time: 1, userId: "ann" } }],
            }
          }),
        )
        // No position of the step before, and no claim of before: nothing is given.
        expect((yield* Effect.flip(readModel.keysOf(at(null, epoch), ["u:dan"])))._tag).toBe("CheckpointConflict")
        yield* claim(readModel)
        const gone = at(checkpoint(1).position, epoch)
        expect((yield* Effect.flip(readModel.keysOf(gone, ["u:dan"])))._tag).toBe("CheckpointConflict")
        yield* readModel.commit(stepTo(2, (yield* claim(readModel)).epoch), (known) =>
          Effect.map(known.identities(["u:dan", "u:ann"], false), ({ rows }) => {
            expect(new Set(rows.map(({ key }) => key))).toEqual(new Set([ann, device]))
            return NOTHING
          }),
        )
      }),
    )

    scenario("metrics are live at once while nothing is projected, and take the claim away", (readModel) =>
      Effect.gen(function* () {
        const { epoch } = yield* claim(readModel)
        const versions = yield* readModel.register([BUILTIN_METRICS.sessions, metric(1)])
        expect(versions.map(({ id, state, group }) => [id, state, group])).toEqual([
          [1, "live", LIVE_GROUP],
          [2, "live", LIVE_GROUP],
        ])
        yield* refused(readModel.commit(stepTo(1, epoch), nothing))
      }),
    )

    scenario(
      "a build takes the live claim away twice, is ready where live stands, and its own claim ends",
      (readModel) =>
        Effect.gen(function* () {
          yield* readModel.register([metric(1)])
          const live = yield* claim(readModel)
          yield* readModel.commit(stepTo(1, live.epoch), nothing)
          const [, built] = yield* readModel.register([metric(2)])
          expect(built).toMatchObject({ id: 2, state: "building", group: "build-2" })
          yield* refused(readModel.commit(stepTo(2, live.epoch), nothing))
          const build = yield* claim(readModel, "build-2")
          expect(yield* readModel.adopt("build-2")).toBe(false)
          yield* readModel.commit(stepTo(1, build.epoch, { group: "build-2", dedupe: [] }), nothing)
          const again = yield* claim(readModel)
          // There, but nobody is counted yet.
          expect(yield* readModel.adopt("build-2")).toBe(false)
          expect(yield* readModel.countNext("build-2", 1, countingNothing)).toBe(true)
          expect(yield* readModel.adopt("build-2")).toBe(true)
          yield* refused(readModel.commit(stepTo(2, again.epoch), nothing))
          yield* refused(readModel.commit(stepTo(2, build.epoch, { group: "build-2", dedupe: [] }), nothing))
          const states = Effect.map(readModel.measures, (found) => found.map(({ id, state }) => [id, state]))
          expect(yield* states).toEqual([
            [1, "live"],
            [2, "ready"],
          ])
          expect(yield* readModel.checkpoint("build-2", 0)).toBeNull()
          const third = yield* claim(readModel)
          const made = (yield* readModel.made)!
          yield* readModel.makeLive([2], "another")
          yield* readModel.makeLive([1], made)
          yield* readModel.commit(stepTo(2, third.epoch), nothing)
          yield* readModel.makeLive([2], made)
          expect(yield* states).toEqual([
            [1, "detached"],
            [2, "live"],
          ])
          yield* refused(readModel.commit(stepTo(3, third.epoch), nothing))
        }),
    )

    scenario("a rebuild is the next build of a live version, asked for once", (readModel) =>
      Effect.gen(function* () {
        yield* readModel.register([metric(1)])
        const live = yield* claim(readModel)
        yield* readModel.commit(stepTo(1, live.epoch), nothing)
        const made = (yield* readModel.made)!
        yield* readModel.rebuild([1], "another")
        expect(yield* readModel.measures).toHaveLength(1)
        yield* readModel.rebuild([1], made)
        yield* refused(readModel.commit(stepTo(2, live.epoch), nothing))
        yield* readModel.rebuild([1, 2], made)
        const [, second] = yield* readModel.measures
        expect(second).toMatchObject({ id: 2, build: 2, state: "building", group: "build-2" })
        expect(yield* readModel.measures).toHaveLength(2)
      }),
    )

    scenario("what is dropped is no more, and what it left is deleted", (readModel) =>
      Effect.gen(function* () {
        yield* readModel.register([metric(1)])
        const live = yield* claim(readModel)
        yield* readModel.commit(stepTo(1, live.epoch), nothing)
        const next = (yield* readModel.register([metric(2)])).slice(1)
        const build = yield* claim(readModel, "build-2")
        const again = yield* claim(readModel)
        const made = (yield* readModel.made)!
        yield* readModel.drop(next, "another")
        yield* readModel.drop([{ id: 1, state: "ready" }, ...next], made)
        yield* refused(readModel.commit(stepTo(1, build.epoch, { group: "build-2", dedupe: [] }), nothing))
        yield* refused(readModel.commit(stepTo(2, again.epoch), nothing))
        expect((yield* readModel.measures).map(({ id }) => id)).toEqual([1])
        expect(yield* readModel.countNext("build-2", 1, countingNothing)).toBe(true)
        // Asked for once more it is built anew, as another.
        const [, anew] = yield* readModel.register([metric(2)])
        expect(anew).toMatchObject({ id: 3, build: 2, state: "building" })
        while (!(yield* readModel.sweep(10))) continue
        expect((yield* readModel.measures).map(({ id }) => id)).toEqual([1, 3])
      }),
    )

    scenario("what was registered together is one group, and asking again changes nothing", (readModel) =>
      Effect.gen(function* () {
        const { epoch } = yield* claim(readModel)
        yield* readModel.commit(stepTo(1, epoch), nothing)
        const versions = yield* readModel.register([metric(1), metric(2)])
        expect(versions.map(({ definition, group }) => [definition.version, group])).toEqual([
          [1, "build-1"],
          [2, "build-1"],
        ])
        // Asked for again, it stays as it is, and nobody has to claim anew.
        const again = yield* claim(readModel)
        expect(yield* readModel.register([metric(2)])).toEqual(versions)
        yield* readModel.commit(stepTo(2, again.epoch), nothing)
        const [, , third] = yield* readModel.register([BUILTIN_METRICS.sessions])
        expect(third).toMatchObject({ id: 3, group: "build-3" })
      }),
    )

    scenario("the persons of a build are counted some at a time, each once", (readModel) =>
      Effect.gen(function* () {
        yield* readModel.markWhole((yield* readModel.made)!)
        yield* readModel.register([metric(1)])
        // What is new counts nobody, so there are no answers, also while there is nobody.
        expect(yield* readModel.isWhole).toBe(false)
        expect(yield* readModel.countNext(LIVE_GROUP, 1, countingNothing)).toBe(true)
        const { epoch } = yield* claim(readModel)
        const seen: Array<unknown> = []
        yield* readModel.commit(stepTo(1, epoch, { measures: [1] }), (known) =>
          Effect.gen(function* () {
            seen.push(known.countedTo)
            const { newKeys } = yield* known.identities(["u:ann", "u:bob", "a:d1"], false)
            const [ann, bob, device] = newKeys as [number, number, number]
            const row = { older: false, link: null }
            return {
              ...NOTHING,
              identities: [
                { ...row, key: ann, distinctId: "u:ann" as const, person: ann },
                { ...row, key: bob, distinctId: "u:bob" as const, person: bob },
                { ...row, key: device, distinctId: "a:d1" as const, person: bob },
                { ...row, key: -device, distinctId: "a:d1" as const, person: -device, older: true },
              ],
            }
          }),
        )
        expect(seen).toEqual([[EVERYBODY]])
        expect(yield* readModel.isWhole).toBe(true)
        yield* readModel.register([metric(2)])
        const counted: Array<readonly [number, number, ReadonlyArray<number>]> = []
        const count = readModel.countNext(
          "build-2",
          1,
          counting(({ measures, counted: range, identities }) => {
            expect(measures.map(({ id, definition }) => [id, definition.version])).toEqual([[2, 2]])
            counted.push([range.from, range.to, identities.map(({ key }) => key).toSorted((a, b) => a - b)])
            return NOTHING_COUNTED
          }),
        )
        expect(yield* count).toBe(false)
        const again = yield* claim(readModel)
        yield* readModel.commit(stepTo(2, again.epoch, { measures: [1, 2] }), (known) =>
          Effect.map(known.identities(["u:bob"], true), ({ rows }) => {
            seen.push(known.countedTo)
            seen.push(rows.map(({ key }) => key).toSorted((a, b) => a - b))
            return NOTHING
          }),
        )
        expect(seen.slice(1)).toEqual([
          [EVERYBODY, 1],
          [-3, 2, 3],
        ])
        expect([yield* count, yield* count, yield* count, yield* count]).toEqual([false, false, true, true])
        expect(counted).toEqual([
          [0, 1, [1]],
          [1, 2, [-3, 2, 3]],
          [2, 3, [-3]],
        ])
      }),
    )

    scenario("emptying takes every claim away, and epochs are not given again", (readModel) =>
      Effect.gen(function* () {
        const { epoch } = yield* claim(readModel)
        yield* readModel.commit(stepTo(1, epoch), nothing)
        yield* readModel.markWhole((yield* readModel.made)!)
        yield* emptied(readModel, DEFAULT_SETTINGS)
        yield* refused(readModel.commit(stepTo(2, epoch), nothing))
        const next = yield* claim(readModel)
        expect(next.epoch).toBeGreaterThan(epoch)
        expect(next.checkpoint).toBeNull()
        expect(yield* readModel.isWhole).toBe(false)
        expect(yield* readModel.controlEnd).toBeNull()
        expect((yield* readModel.register([metric(1)]))[0]).toMatchObject({ id: 1 })
      }),
    )

    scenario("what was found before somebody emptied the tables is not written to them after it", (readModel) =>
      Effect.gen(function* () {
        const end = { position: checkpoint(1).position, sum: "00" }
        const settings = { ...DEFAULT_SETTINGS, timeZone: "Asia/Tokyo" }
        const found = (yield* readModel.made)!
        const made = yield* readModel.wipe(settings, found)
        expect(made).not.toBe(found)
        expect(yield* readModel.made).toBe(made)
        expect(yield* readModel.wipe(DEFAULT_SETTINGS, found)).toBeNull()
        expect(yield* readModel.wipe(DEFAULT_SETTINGS, null)).toBeNull()
        yield* readModel.markWhole(found)
        yield* readModel.noteControlEnd(end, found)
        expect(yield* readModel.settings).toEqual(settings)
        expect(yield* readModel.isWhole).toBe(false)
        expect(yield* readModel.controlEnd).toBeNull()
        yield* readModel.markWhole(made!)
        yield* readModel.noteControlEnd(end, made!)
        expect(yield* readModel.isWhole).toBe(true)
        expect(yield* readModel.controlEnd).toEqual(end)
      }),
    )
  })
}
