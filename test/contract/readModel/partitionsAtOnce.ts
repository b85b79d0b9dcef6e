import { deepStrictEqual } from "node:assert"
import { Effect, Result } from "effect"
import { describe, expect, test } from "vitest"
import type { DistinctId } from "../../../src/domain/identity/distinctId.ts"
import type { Event } from "../../../src/domain/event/Event.ts"
import { decodeBatch, encodeBatch } from "../../../src/domain/log/batch.ts"
import { compileMeasure } from "../../../src/domain/measure/compile.ts"
import { EMPTY_FACT, type Fact, factKey, factOf, joinFacts } from "../../../src/domain/measure/Fact.ts"
import { eventKey } from "../../../src/domain/measure/points.ts"
import { BUILTIN_METRICS } from "../../../src/domain/metric/builtin.ts"
import { Fold } from "../../../src/domain/projection/Fold.ts"
import { type KnownTables, LIVE_GROUP } from "../../../src/domain/projection/ReadModel.ts"
import { settle } from "../../../src/domain/projection/settle.ts"
import type { StepChanges } from "../../../src/domain/projection/StepChanges.ts"
import { DEFAULT_SETTINGS } from "../../../src/domain/settings.ts"
import { formatDay } from "../../../src/domain/time/calendar.ts"
import { TimeZone } from "../../../src/domain/time/TimeZone.ts"
import { type LoggedBatch, MemoryReadModel } from "../../support/MemoryReadModel.ts"
import { RANGE, stepOf, bySpelling, factRow, FRAGMENTS_BOUND, identity, NO_CHANGES } from "./fixtures.ts"
import type { World } from "./world.ts"

/** Steps that meet. */
export const partitionsAtOnceContract = (world: World): void => {
  const { run, epochOf, allFactsOf, countAll } = world

  describe("steps of many partitions at one time", () => {
    const zone = TimeZone.utc
    const partitions = Array.from({ length: 6 }, (_, n) => n)
    const ROUNDS = 4
    const NOON = Date.parse("2024-03-01T12:00:00Z")
    const HOUR = 3_600_000

    let made = 0
    const event = (over: Partial<Event>): Event => ({
      id: `e${made++}`,
      kind: "track",
      name: "click",
      userId: null,
      anonymousId: null,
      sessionId: null,
      time: NOON,
      timestamp: null,
      sentAt: null,
      receivedAt: null,
      warnings: [],
      body: {},
      ...over,
    })

    const logged = (partition: number, sequence: number, events: ReadonlyArray<Event>): LoggedBatch => {
      const origin = { writer: "w", number: sequence, previous: "", partition, loggedAt: NOON }
      return { partition, sequence, batch: Result.getOrThrow(decodeBatch(encodeBatch(origin, events).bytes)) }
    }

    test("touch the same persons and end as if one had come after the other", async () => {
      const { length } = partitions
      // A ring of persons: each partition joins its own to the next, and gives the next one's device an owner.
      const first = partitions.map((n) =>
        logged(n, 1, [
          event({ userId: `u${n}` }),
          event({ anonymousId: `d${n}`, time: NOON - HOUR }),
          // Before the merge window: it stays with the device.
          event({ anonymousId: `d${n}`, time: NOON - 40 * 24 * HOUR }),
        ]),
      )
      const rest = partitions.map((n) =>
        Array.from({ length: ROUNDS }, (_, round) => {
          const [own, next] = [`u${n}`, `u${(n + 1) % length}`]
          const time = NOON + round * 24 * HOUR + n
          const links = event({ userId: next, anonymousId: `d${(n + round) % length}`, time: time - round * HOUR })
          const states = event({ kind: "alias", name: "alias", userId: own, time, body: { previousId: next } })
          const undoes = event({ kind: "unalias", name: "unalias", userId: own, time, body: { previousId: next } })
          const acts = [event({ userId: own, time }), event({ anonymousId: `d${n}`, time: time + 1 })]
          return logged(n, round + 2, [...acts, links, round % 2 === 1 && n < 3 ? undoes : states])
        }),
      )
      const definitions = [BUILTIN_METRICS.activeUsers, BUILTIN_METRICS.activeUsersByEvent, BUILTIN_METRICS.sessions]
      const versions = await run(world.readModel.register(definitions))
      const measures = versions.map(({ definition }) => compileMeasure(definition, zone))
      const members = versions.map(({ id }) => ({ id, follows: false }))
      const { mergeWindowMillis } = DEFAULT_SETTINGS
      /** Tables that let others have a turn after each look. */
      const yieldingAfter = (known: KnownTables): KnownTables => ({
        ...known,
        identities: (...asked) => Effect.tap(known.identities(...asked), () => Effect.yieldNow),
        facts: (needs) => Effect.tap(known.facts(needs), () => Effect.yieldNow),
      })

      const projecting = Effect.fnUntraced(
        function* ({ partition, sequence, batch }: LoggedBatch) {
          const fold = new Fold(measures, zone)
          fold.add(partition, sequence, batch, new Set())
          const { changes: _, ...step } = stepOf(sequence, {
            partition,
            measures: versions.map(({ id }) => id),
            intake: fold.intake.deltas(),
          })
          yield* world.readModel.commit({ ...step, epoch: yield* epochOf(LIVE_GROUP, partition) }, (known) =>
            settle(fold, yieldingAfter(known), members, { mergeWindowMillis, zone }, null),
          )
        },
        Effect.retry({ times: 100, while: (error) => error._tag === "ReadModelUnavailable" && error.retryable }),
      )

      const expected = new MemoryReadModel(measures, DEFAULT_SETTINGS)
      for (const batch of [...first, ...rest.flat()]) expected.step([batch])
      // Of nobody yet, so that from now on steps count everybody.
      await countAll(LIVE_GROUP)
      await run(Effect.forEach(first, projecting))
      await run(Effect.forEach(rest, (batches) => Effect.forEach(batches, projecting), { concurrency: "unbounded" }))

      const ids = partitions.flatMap((n): ReadonlyArray<DistinctId> => [`u:u${n}`, `a:d${n}`])
      const { rows } = await run(world.queries.identities(ids))
      const nameOf = new Map(rows.map((row) => [row.key, row.older ? `${row.distinctId}#older` : row.distinctId]))
      const mains = rows.filter(({ older }) => !older)
      deepStrictEqual(
        new Map(mains.map((row) => [row.distinctId, nameOf.get(row.person)!] as const).sort(bySpelling(([id]) => id))),
        expected.personOf,
      )
      expect(rows.length - mains.length).toBe(length)
      const known = await allFactsOf(
        versions.map(({ id }) => id),
        rows.map(({ key }) => key),
      )
      for (const [m, { id }] of versions.entries()) {
        const cells = await run(world.queries.cells(id, RANGE))
        deepStrictEqual(
          new Map(
            cells
              .map(({ day, item, stat, amount }) => [`${formatDay(day)}|${item}|${stat}`, amount] as const)
              .sort(bySpelling(([cell]) => cell)),
          ),
          expected.cells(m),
        )
        deepStrictEqual(
          new Map(
            Array.from(
              known[m]!,
              ([key, fact]) =>
                [
                  nameOf.get(key)!,
                  [...fact.values()].sort(bySpelling((row) => factKey(row.value, row.month))),
                ] as const,
            ).sort(bySpelling(([name]) => name)),
          ),
          expected.facts(m),
        )
      }
    })

    test("add to, replace and put together what neighbours share rows with, and lose nothing of it", async () => {
      const STEPS = 40
      /** Two of each partition, in two blocks, which every other partition has in the other order. */
      const keysOf = (partition: number): ReadonlyArray<number> =>
        partition % 2 === 0 ? [partition + 1, partition + 65] : [partition + 65, partition + 1]
      const idsOf = (partition: number): ReadonlyArray<DistinctId> => [`u:${partition}`, `u:${partition}'s other`]
      /** The same for measures. */
      const measuresOf = (partition: number): ReadonlyArray<number> => (partition % 2 === 0 ? [1, 2] : [2, 1])
      const rowOf = (partition: number, n: number) =>
        factRow(String(n % 7), {
          mask: 1 << (n % 31),
          points: { times: [n], keys: [eventKey(partition, n + 1, 0)], labels: ["x".repeat(n)] },
        })
      const replaces = (n: number): boolean => n % 13 === 12

      const projecting = Effect.fnUntraced(
        function* (partition: number, n: number) {
          const measures = measuresOf(partition)
          const keys = keysOf(partition)
          const { changes: _, ...step } = stepOf(n + 2, { partition, measures })
          const facts = keys.map((key) => ({ key, rows: [rowOf(partition, n)], replaces: replaces(n) }))
          const changes: StepChanges = { ...NO_CHANGES, measures: measures.map(() => ({ facts, cells: [] })) }
          yield* world.readModel.commit({ ...step, epoch: yield* epochOf(LIVE_GROUP, partition) }, (known) =>
            known
              .identities(idsOf(partition), false)
              .pipe(
                Effect.andThen(Effect.yieldNow),
                Effect.andThen(Effect.forEach(measures, (measure) => known.facts([{ measure, keys }]))),
                Effect.andThen(Effect.yieldNow),
                Effect.as(changes),
              ),
          )
        },
        Effect.retry({ times: 100, while: (error) => error._tag === "ReadModelUnavailable" && error.retryable }),
      )

      for (const partition of partitions) {
        const identities = keysOf(partition).map((key, n) => identity(key, idsOf(partition)[n]!))
        await world.commit(stepOf(1, { partition, changes: { ...NO_CHANGES, identities } }))
      }
      const steps = Array.from({ length: STEPS }, (_, n) => n)
      await run(
        Effect.forEach(partitions, (partition) => Effect.forEach(steps, (n) => projecting(partition, n)), {
          concurrency: "unbounded",
        }),
      )

      const found = await allFactsOf([1, 2], partitions.flatMap(keysOf))
      const inOrder = (fact: Fact) => new Map([...fact].sort(bySpelling(([key]) => key)))
      for (const facts of found) {
        for (const partition of partitions) {
          const expected = steps.reduce(
            (fact: Fact, n) => joinFacts(replaces(n) ? EMPTY_FACT : fact, factOf([rowOf(partition, n)])),
            EMPTY_FACT,
          )
          for (const key of keysOf(partition)) deepStrictEqual(inOrder(facts.get(key)!), inOrder(expected))
        }
      }
      const { facts: rows } = await run(world.queries.sizes)
      expect(rows).toBeLessThanOrEqual(2 * 2 * partitions.length * FRAGMENTS_BOUND)
    })
  })
}
