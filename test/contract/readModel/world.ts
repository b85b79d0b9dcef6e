import { Effect, Layer, ManagedRuntime } from "effect"
import { SqlClient } from "effect/sql"
import { afterAll, beforeAll, beforeEach, expect } from "vitest"
import { countAllPersons } from "../../../src/app/projection/countPersons.ts"
import type { DistinctId } from "../../../src/domain/identity/distinctId.ts"
import type { KnownFacts } from "../../../src/domain/projection/StepChanges.ts"
import { ReadModelUnavailable } from "../../../src/domain/projection/errors.ts"
import { Operations } from "../../../src/domain/projection/Operations.ts"
import { type KnownTables, ReadModel } from "../../../src/domain/projection/ReadModel.ts"
import { ReadModelQueries } from "../../../src/domain/projection/ReadModelQueries.ts"
import { DEFAULT_SETTINGS, type Settings } from "../../../src/domain/settings.ts"
import type { BulkCopy } from "../../../src/infra/sql/BulkCopy.ts"
import { layerSqlOperations } from "../../../src/infra/sql/SqlOperations.ts"
import { layerSqlReadModel } from "../../../src/infra/sql/SqlReadModel.ts"
import { layerSqlReadModelQueries } from "../../../src/infra/sql/SqlReadModelQueries.ts"
import { emptied } from "../../support/emptied.ts"
import { RANGE, type Draft, stepOf, ONLY_LOOKED } from "./fixtures.ts"

export type Services = ReadModel | ReadModelQueries | Operations | SqlClient.SqlClient

/** A read model over one database, opened once and wiped for each test, and how tests speak with it. */
export const openReadModel = (makeClient: () => Layer.Layer<SqlClient.SqlClient | BulkCopy, unknown>) => {
  let runtime: ManagedRuntime.ManagedRuntime<Services, unknown>
  let readModel: ReadModel["Service"]
  let queries: ReadModelQueries["Service"]
  let settingsAtFirst: Settings | null

  const run = <A, E>(effect: Effect.Effect<A, E, Services>): Promise<A> => runtime.runPromise(effect)

  beforeAll(async () => {
    runtime = ManagedRuntime.make(
      Layer.merge(layerSqlReadModelQueries, layerSqlOperations).pipe(
        Layer.provideMerge(layerSqlReadModel),
        Layer.provideMerge(makeClient()),
      ),
    )
    readModel = await run(ReadModel)
    queries = await run(ReadModelQueries)
    settingsAtFirst = await run(readModel.settings)
  })

  afterAll(() => runtime.dispose())

  const query = (text: string) => Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(text))

  /** Epochs that the test's own steps are committed under, by group and partition. */
  const epochs = new Map<string, number>()

  beforeEach(() => {
    epochs.clear()
    return run(emptied(readModel, DEFAULT_SETTINGS))
  })

  const epochOf = Effect.fnUntraced(function* (group: string, partition: number) {
    const place = `${group} ${partition}`
    const epoch = epochs.get(place) ?? (yield* readModel.claim(group, partition, "test")).epoch
    epochs.set(place, epoch)
    return epoch
  })

  /** Commits a step under an epoch, having looked up whom it changes, so that rows that are there are changed. */
  const committingUnder = ({ changes, ...step }: Draft, epoch: number) =>
    readModel.commit({ ...step, epoch }, (known) =>
      Effect.as(
        known.identities(
          changes.identities.map(({ distinctId }) => distinctId),
          false,
        ),
        changes,
      ),
    )

  /** The same as the owner of the partition, which the test is from its first step on. */
  const committing = Effect.fnUntraced(function* (step: Draft) {
    yield* committingUnder(step, yield* epochOf(step.group, step.partition))
  })

  /** What a step would see; nothing of it is kept. */
  const looking = Effect.fnUntraced(function* <A>(
    look: (known: KnownTables) => Effect.Effect<A, ReadModelUnavailable>,
  ) {
    const seen: Array<A> = []
    const group = "only-looks"
    const { changes: _, ...step } = stepOf(1, { group })
    const error = yield* Effect.flip(
      readModel.commit({ ...step, epoch: yield* epochOf(group, 0) }, (known) =>
        Effect.flatMap(look(known), (found) => {
          seen.push(found)
          return Effect.fail(ONLY_LOOKED)
        }),
      ),
    )
    expect(error).toBe(ONLY_LOOKED)
    return seen.at(-1)!
  })

  const commit = (step: Draft) => run(committing(step))
  const lookUp = <A>(look: (known: KnownTables) => Effect.Effect<A, ReadModelUnavailable>) => run(looking(look))
  const identitiesOf = (ids: ReadonlyArray<DistinctId>) => lookUp((known) => known.identities(ids, false))
  const wholeFacts = (measures: ReadonlyArray<number>, keys: ReadonlyArray<number>) => (known: KnownTables) =>
    known.facts(measures.map((measure) => ({ measure, keys })))
  const allFactsOf = (measures: ReadonlyArray<number>, keys: ReadonlyArray<number>): Promise<KnownFacts> =>
    lookUp(wholeFacts(measures, keys))
  /** Counts all persons of a group whose facts were only gathered. */
  const countAll = (group: string) => run(Effect.provideService(countAllPersons(group), ReadModel, readModel))
  const failureOf = <A, E>(effect: Effect.Effect<A, E, Services>) => run(Effect.flip(effect))
  const amountsOf = async (measure = 1) =>
    new Map(
      (await run(queries.cells(measure, RANGE))).map(({ item, stat, amount }) => [
        JSON.stringify([item, stat]),
        amount,
      ]),
    )

  return {
    get readModel() {
      return readModel
    },
    get queries() {
      return queries
    },
    get settingsAtFirst() {
      return settingsAtFirst
    },
    run,
    query,
    epochs,
    epochOf,
    committingUnder,
    committing,
    looking,
    commit,
    lookUp,
    identitiesOf,
    wholeFacts,
    allFactsOf,
    countAll,
    failureOf,
    amountsOf,
  }
}

export type World = ReturnType<typeof openReadModel>
