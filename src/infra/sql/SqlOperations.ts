import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import {
  ALL_PARTITIONS,
  type Attempt,
  EVERY_MEASURE,
  ISOLATED,
  Operations,
  type Outlook,
  type Pause,
  type PauseCause,
  type Stop,
  type Trial,
} from "../../domain/projection/Operations.ts"
import type { ReadModel } from "../../domain/projection/ReadModel.ts"
import { explained } from "./explained.ts"
import { lockMeasures } from "./measureTables.ts"
import type { SqlBigint } from "./rows.ts"
import { toStorable } from "./storableText.ts"
import { WHOLE } from "./whole.ts"

/** The tables of effect/cluster begin with this. */
export const CLUSTER_PREFIX = "workers"

/** A worker that has given no sign of life for so long is taken for dead, seconds. */
export const WORKER_LIFE_SECONDS = 9

/** Pauses, failures and attempts, in tables beside those of the read model. */
export const layerSqlOperations: Layer.Layer<Operations, never, SqlClient.SqlClient | ReadModel> = Layer.effect(
  Operations,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const millis = (column: string) => sql.literal(`(extract(epoch FROM ${column}) * 1000)::float8`)

    const look = Effect.map(
      sql<{ readonly found: Omit<Outlook, "pauses"> & { readonly pauses: ReadonlyArray<Pause> } }>`
        SELECT json_build_object(
          'made', (SELECT made_at::text FROM settings),
          'whole', ${sql.literal(WHOLE)},
          'groups', (SELECT coalesce(json_agg(DISTINCT projector_group), '[]') FROM measures
            WHERE state <> 'dropped'),
          'ownerships', (SELECT coalesce(json_agg(json_build_object('group', projector_group, 'partition', partition,
            'epoch', epoch, 'owner', owner, 'sequence', coalesce(sequence, 0))), '[]') FROM checkpoints),
          'pauses', (SELECT coalesce(json_agg(json_build_object('group', nullif(projector_group, ''),
            'partition', partition, 'cause', cause, 'sentence', sentence, 'since', ${millis("since")})), '[]') FROM pauses),
          'stops', (SELECT coalesce(json_agg(json_build_object('group', projector_group, 'partition', partition,
            'owner', owner, 'sentence', sentence, 'since', ${millis("since")})), '[]') FROM stops)) AS found`,
      ([row]): Outlook => row!.found,
    )

    const notePause = ({ group, partition, cause, sentence }: Omit<Pause, "since">) => sql`
      INSERT INTO pauses (projector_group, partition, cause, sentence)
      VALUES (${group ?? ""}, ${partition}, ${cause}, ${toStorable(sentence)})
      ON CONFLICT (projector_group, partition, cause) DO UPDATE SET sentence = excluded.sentence`

    /** The claims that a pause covers end, after what is being committed. */
    const endClaims = ({ group, partition }: Pick<Pause, "group" | "partition">) => sql`
      UPDATE checkpoints SET epoch = nextval('epochs')
      WHERE ${group === null ? sql`true` : sql`projector_group = ${group}`}
        AND ${partition === ALL_PARTITIONS ? sql`true` : sql`partition = ${partition}`}`

    /** Whoever claims waits for this one, also for the first time, and finds the pause when it looks after that. */
    const pauseNow = (it: Omit<Pause, "since">) =>
      sql.withTransaction(
        Effect.gen(function* () {
          yield* lockMeasures(sql)
          yield* notePause(it)
          yield* endClaims(it)
        }),
      )

    const pause = (it: Omit<Pause, "since">) => (it.cause === "operator" ? pauseNow(it) : notePause(it))

    const resume = (partition: number, causes: ReadonlyArray<PauseCause>) =>
      sql.withTransaction(
        Effect.gen(function* () {
          const these = partition === ALL_PARTITIONS ? sql`true` : sql`partition = ${partition}`
          const lifted = yield* sql<Pause>`
            DELETE FROM pauses WHERE ${these} AND cause = ANY(${causes}::text[])
            RETURNING nullif(projector_group, '') AS "group", partition, cause, sentence, ${millis("since")} AS since`
          if (causes.includes("operator")) yield* sql`DELETE FROM stops WHERE ${these}`
          if (causes.includes("crash")) yield* sql`DELETE FROM attempts WHERE ${these}`
          return lifted
        }),
      )

    const stop = ({ group, partition, owner, sentence }: Omit<Stop, "since">) => sql`
      INSERT INTO stops (projector_group, partition, owner, sentence)
      VALUES (${group}, ${partition}, ${owner}, ${toStorable(sentence)})
      ON CONFLICT (projector_group, partition) DO UPDATE SET owner = excluded.owner, sentence = excluded.sentence,
        since = CASE WHEN stops.sentence = excluded.sentence THEN stops.since ELSE now() END`

    const beginAttempt = Effect.fnUntraced(function* (group: string, partition: number) {
      const [row] = yield* sql<AttemptRow>`
        INSERT INTO attempts (projector_group, partition, count) VALUES (${group}, ${partition}, 1)
        ON CONFLICT (projector_group, partition) DO UPDATE SET count = attempts.count + 1,
          deaths = attempts.deaths + CASE WHEN attempts.sequence IS NULL THEN 0 ELSE 1 END
        RETURNING count, deaths, sequence, first_place, last_place`
      const { count, deaths, sequence, first_place: first, last_place: last } = row!
      const trial = sequence === null ? null : { sequence: Number(sequence), first: first!, last: last! }
      return { count, deaths, trial } satisfies Attempt
    })

    const beginTrial = (group: string, partition: number, { sequence, first, last }: Trial) => sql`
      INSERT INTO attempts (projector_group, partition, count, sequence, first_place, last_place)
      VALUES (${group}, ${partition}, 0, ${sequence}, ${first}, ${last})
      ON CONFLICT (projector_group, partition) DO UPDATE SET count = 0,
        deaths = CASE WHEN attempts.sequence = excluded.sequence THEN attempts.deaths ELSE 0 END,
        sequence = excluded.sequence, first_place = excluded.first_place, last_place = excluded.last_place`

    const isolated = (partition: number, metrics: ReadonlyArray<string>) =>
      Effect.map(
        sql<{ readonly sequence: SqlBigint; readonly places: ReadonlyArray<number> }>`
          SELECT sequence, json_agg(place) AS places FROM (
            SELECT sequence, place FROM quarantine
            WHERE partition = ${partition}
              AND (metric = ${EVERY_MEASURE} OR (metric = ANY(${metrics}::text[]) AND cause = ${ISOLATED}))
            GROUP BY sequence, place
            HAVING bool_or(metric = ${EVERY_MEASURE}) OR count(*) = ${metrics.length}
          ) AS left_out GROUP BY sequence`,
        (rows) => new Map(rows.map(({ sequence, places }) => [Number(sequence), new Set(places)])),
      )

    const liveWorkers = Effect.gen(function* () {
      const [table] = yield* sql<{ readonly there: boolean }>`
        SELECT to_regclass(${`${CLUSTER_PREFIX}_runners`}) IS NOT NULL AS there`
      if (!table!.there) return []
      const rows = yield* sql<{ readonly address: string }>`
        SELECT address FROM ${sql(`${CLUSTER_PREFIX}_runners`)}
        WHERE last_heartbeat > now() - make_interval(secs => ${WORKER_LIFE_SECONDS}) ORDER BY address`
      return rows.map(({ address }) => address)
    })

    return Operations.of({
      look: look.pipe(explained("look at the state of the workers")),
      pause: (it) => Effect.asVoid(pause(it)).pipe(explained("pause partitions")),
      resume: (partition, causes) => resume(partition, causes).pipe(explained("resume partitions")),
      stop: (it) => Effect.asVoid(stop(it)).pipe(explained("note a failure")),
      goOn: (group, partition) =>
        Effect.asVoid(sql`DELETE FROM stops WHERE projector_group = ${group} AND partition = ${partition}`).pipe(
          explained("take a failure back"),
        ),
      beginAttempt: (group, partition) => beginAttempt(group, partition).pipe(explained("mark an attempt")),
      beginTrial: (group, partition, trial) =>
        Effect.asVoid(beginTrial(group, partition, trial)).pipe(explained("mark what is tried")),
      endAttempt: (group, partition) =>
        Effect.asVoid(sql`DELETE FROM attempts WHERE projector_group = ${group} AND partition = ${partition}`).pipe(
          explained("end an attempt"),
        ),
      isolated: (partition, metrics) => isolated(partition, metrics).pipe(explained("read which events are isolated")),
      isolate: ({ partition, sequence }, place, metrics) =>
        Effect.asVoid(sql`
          INSERT INTO quarantine (partition, sequence, place, metric, cause)
          SELECT ${partition}::int, ${sequence}::bigint, ${place}::int, metric, ${ISOLATED}
          FROM unnest(${metrics}::text[]) AS metric
          ON CONFLICT (partition, sequence, place, metric) DO UPDATE SET cause = excluded.cause`).pipe(
          explained("isolate an event"),
        ),
      liveWorkers: liveWorkers.pipe(explained("ask which workers are alive")),
    })
  }),
)

interface AttemptRow {
  readonly count: number
  readonly deaths: number
  readonly sequence: SqlBigint | null
  readonly first_place: number | null
  readonly last_place: number | null
}
