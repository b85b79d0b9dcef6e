/**
 * DuckDB answers the three questions of the bench once, from a file of events, an event a line: persons a day, persons
 * a day and feature, and a funnel of four steps within 14 days. Anonymous events belong to the user that the device was
 * first seen with, as they do in Tidemark. Prints the seconds that it took, opening included, and the answers' sums.
 */
import { DuckDBInstance } from "@duckdb/node-api"

const file = process.argv[2]!.replaceAll("'", "''")

const EVENTS = `
  CREATE TABLE events AS
  WITH raw AS (
    SELECT event, userId, anonymousId, "timestamp" AS time, properties->>'feature_name' AS feature
    FROM read_json('${file}', format = 'newline_delimited', columns = {
      event: 'VARCHAR', userId: 'VARCHAR', anonymousId: 'VARCHAR', timestamp: 'TIMESTAMP', properties: 'JSON'})),
  links AS (
    SELECT anonymousId AS device, arg_min(userId, (time, userId)) AS owner, min(time) AS linked
    FROM raw WHERE userId IS NOT NULL AND anonymousId IS NOT NULL GROUP BY anonymousId)
  SELECT event, time, feature, CASE
    WHEN raw.userId IS NOT NULL THEN raw.userId
    WHEN owner IS NOT NULL AND raw.time >= linked - INTERVAL 30 DAY THEN owner
    ELSE raw.anonymousId END AS person
  FROM raw LEFT JOIN links ON links.device = raw.anonymousId`

const PERSON_DAYS = `SELECT time::DATE AS day, count(DISTINCT person) AS persons FROM events GROUP BY day`

const FEATURE_PERSON_DAYS = `
  SELECT time::DATE AS day, feature, count(DISTINCT person) AS persons FROM events
  WHERE event = 'feature_used' GROUP BY day, feature`

/** Every entry is tried; the next step is the first one after the step before. An ASOF join gives a match to NULL too. */
const FUNNEL = `
  WITH e1 AS (SELECT person, time AS t1 FROM events WHERE event = 'page_view'),
  e2 AS (SELECT person, time FROM events WHERE event = 'sign_up'),
  e3 AS (SELECT person, time FROM events WHERE event = 'add_to_cart'),
  e4 AS (SELECT person, time FROM events WHERE event = 'purchase'),
  s2 AS (SELECT e1.*, e2.time AS t2 FROM e1 ASOF LEFT JOIN e2 ON e1.person = e2.person AND e1.t1 < e2.time),
  s3 AS (SELECT s2.*, e3.time AS t3 FROM s2 ASOF LEFT JOIN e3 ON s2.person = e3.person AND s2.t2 < e3.time),
  s4 AS (SELECT s3.*, e4.time AS t4 FROM s3 ASOF LEFT JOIN e4 ON s3.person = e4.person AND s3.t3 < e4.time),
  reached AS (
    SELECT person, max(CASE
      WHEN t2 IS NULL OR t2 > t1 + INTERVAL 14 DAY THEN 1
      WHEN t3 IS NULL OR t3 > t1 + INTERVAL 14 DAY THEN 2
      WHEN t4 IS NULL OR t4 > t1 + INTERVAL 14 DAY THEN 3 ELSE 4 END) AS step
    FROM s4 GROUP BY person)
  SELECT count(*) FILTER (step >= 1), count(*) FILTER (step >= 2), count(*) FILTER (step >= 3),
    count(*) FILTER (step >= 4) FROM reached`

const start = performance.now()
const instance = await DuckDBInstance.create(":memory:")
const connection = await instance.connect()
const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRows()
await connection.run(EVENTS)
const personDays = await rows(PERSON_DAYS)
const featurePersonDays = await rows(FEATURE_PERSON_DAYS)
const [funnel] = await rows(FUNNEL)
const seconds = (performance.now() - start) / 1000
const [threads] = await rows("SELECT current_setting('threads')")

const sum = (all: ReadonlyArray<ReadonlyArray<unknown>>, column: number): number =>
  all.reduce((total, row) => total + Number(row[column]), 0)
console.log(
  JSON.stringify({
    seconds,
    threads: Number(threads![0]),
    answers: {
      personDays: sum(personDays, 1),
      featurePersonDays: sum(featurePersonDays, 2),
      funnel: funnel!.map(Number),
    },
  }),
)
