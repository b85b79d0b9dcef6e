import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { ControlFact } from "../../src/domain/control/ControlFact.ts"
import { BUILTIN_METRICS } from "../../src/domain/metric/builtin.ts"
import { buildsMeasure, type MetricDefinition } from "../../src/domain/metric/definition.ts"
import { countsTheSame } from "../../src/domain/metric/differences.ts"
import { afterFact, liveSinceOf, type MetricHistories } from "../../src/domain/metric/lifecycle.ts"
import { LIVE_GROUP, type Build } from "../../src/domain/projection/ReadModel.ts"
import { type Reconciliation, reconcile } from "../../src/domain/projection/reconcile.ts"

/** Which version answers, and what is kept: by control facts in any order, and tables that any number of readers bring in line. */

/** Two metrics, and one that nobody may apply, which has builds all the same. */
const NAMES = ["a", "b", BUILTIN_METRICS.sessions.name]

const arbName = fc.nat(9).map((n) => NAMES[n === 9 ? 2 : n % 2]!)

/** Few numbers, so that they meet; versions that count the same, that don't, and formulas of other metrics. */
const arbDefinition: fc.Arbitrary<MetricDefinition> = fc
  .record({
    name: fc.constantFrom("a", "b"),
    version: fc.integer({ min: 1, max: 6 }),
    counts: fc.constantFrom("click", "click", "view", "view", "buy", null),
    owner: fc.constantFrom("ann", "bob"),
  })
  .map(({ counts, ...said }) =>
    counts === null
      ? { ...said, formula: { kind: "sum", of: [{ metric: "active_users", stat: "users" }] } }
      : { ...said, filter: { events: [counts] }, formula: { kind: "event-count" } },
  )

const DECIDED = { by: null, why: null }

const arbFact: fc.Arbitrary<ControlFact> = fc.oneof(
  {
    arbitrary: fc
      .tuple(arbDefinition, fc.constantFrom("when-built" as const, "when-asked" as const))
      .map(([definition, promote]) => ({ name: "metric_applied" as const, body: { definition, promote, ...DECIDED } })),
    weight: 5,
  },
  {
    arbitrary: fc
      .record({
        name: fc.constantFrom("metric_promoted" as const, "metric_rolled_back" as const, "metric_dropped" as const),
        metric: arbName,
        version: fc.integer({ min: 1, max: 6 }),
        build: fc.constantFrom(null, null, null, 2),
      })
      .map(({ name, ...of }) => ({ name, body: { ...of, ...DECIDED } })),
    weight: 8,
  },
  {
    arbitrary: fc
      .tuple(arbName, fc.integer({ min: 1, max: 6 }))
      .map(([metric, version]) => ({ name: "metric_retired" as const, body: { metric, version, ...DECIDED } })),
    weight: 1,
  },
  {
    arbitrary: fc.constantFrom<ControlFact>(
      { name: "rebuild_requested", body: { metrics: ["a"], ...DECIDED } },
      { name: "settings_changed", body: { weekStart: "sunday" } },
    ),
    weight: 1,
  },
)

/** Metrics as somebody would keep them who reads the facts aloud. */
class NaiveMetric {
  readonly definitions = new Map<number, MetricDefinition>()
  readonly everLive = new Set<number>()
  readonly givenUp = new Set<number>()
  live: number | null = null

  get latest(): number {
    return Math.max(0, ...this.definitions.keys())
  }

  /** Versions that are kept. */
  get kept(): ReadonlyArray<number> {
    return [...this.definitions.keys()].filter((version) => !this.givenUp.has(version))
  }

  /** The definition that is to answer from cells of its own. */
  get answering(): MetricDefinition | undefined {
    const definition = this.live === null ? undefined : this.definitions.get(this.live)
    return definition !== undefined && buildsMeasure(definition) ? definition : undefined
  }

  /** What is to be built. */
  get wanted(): ReadonlyArray<MetricDefinition> {
    if (this.answering === undefined) return []
    return this.kept.map((version) => this.definitions.get(version)!).filter(buildsMeasure)
  }

  switchTo(version: number): void {
    this.live = version
    this.everLive.add(version)
  }

  /** Whether the fact has an effect. */
  hear(fact: ControlFact): boolean {
    switch (fact.name) {
      case "metric_applied": {
        const { definition, promote } = fact.body
        if (definition.version <= this.latest) return false
        const takesOver = this.live === null || promote === "when-built"
        for (const version of this.kept) if (takesOver || !this.everLive.has(version)) this.givenUp.add(version)
        this.definitions.set(definition.version, definition)
        if (takesOver) this.switchTo(definition.version)
        return true
      }
      case "metric_promoted":
      case "metric_rolled_back":
        if (this.live === null || !this.kept.includes(fact.body.version)) return false
        this.switchTo(fact.body.version)
        return true
      case "metric_dropped":
        if (!this.definitions.has(fact.body.version)) return false
        if (fact.body.build !== null) return true
        if (fact.body.version === this.live) return false
        this.givenUp.add(fact.body.version)
        return true
      case "metric_retired":
        if (this.live === null || fact.body.version < this.latest) return false
        for (const version of this.kept) this.givenUp.add(version)
        this.live = null
        return true
      default:
        return false
    }
  }
}

const metricOf = (fact: ControlFact): string =>
  fact.name === "metric_applied" ? fact.body.definition.name : "metric" in fact.body ? fact.body.metric : ""

/** Log time of the n-th fact. */
const timeOf = (n: number) => 1_000_000 + n

const heard = (facts: ReadonlyArray<ControlFact>): MetricHistories => {
  let histories: MetricHistories = new Map()
  facts.forEach((fact, n) => (histories = afterFact(histories, fact, timeOf(n))))
  return histories
}

const naivelyHeard = (facts: ReadonlyArray<ControlFact>): ReadonlyMap<string, NaiveMetric> => {
  const metrics = new Map<string, NaiveMetric>()
  for (const fact of facts) {
    const metric = metrics.get(metricOf(fact)) ?? new NaiveMetric()
    if (metric.hear(fact)) metrics.set(metricOf(fact), metric)
  }
  return metrics
}

describe("the history of metrics", () => {
  test("is what a plain reading of the facts comes to", () => {
    fc.assert(
      fc.property(fc.array(arbFact, { maxLength: 40 }), (facts) => {
        const histories = heard(facts)
        const naive = naivelyHeard(facts)
        expect([...histories.keys()].sort()).toEqual([...naive.keys()].sort())
        for (const [name, { versions, live }] of histories) {
          const metric = naive.get(name)!
          expect(live).toBe(metric.live)
          expect(versions.map(({ definition }) => definition)).toEqual([...metric.definitions.values()])
          const numbers = (which: (version: (typeof versions)[number]) => boolean) =>
            versions.filter(which).map(({ definition }) => definition.version)
          expect(numbers(({ kept }) => kept)).toEqual(metric.kept)
          expect(new Set(numbers(({ liveSince }) => liveSince !== null))).toEqual(metric.everLive)
          // What answers is kept, and nothing answered later.
          const last = versions.toSorted((a, b) => (b.liveSince ?? 0) - (a.liveSince ?? 0))[0]!
          if (live !== null) expect(last).toMatchObject({ kept: true, definition: { version: live } })
        }
      }),
      { numRuns: 1000 },
    )
  })

  test("tells of every fact that had an effect, in their order, and of no other", () => {
    fc.assert(
      fc.property(fc.array(arbFact, { maxLength: 25 }), (facts) => {
        const told = [...heard(facts)].flatMap(([name, { decisions }]) =>
          decisions.map(({ at, what, version }) => [at, name, what, version]),
        )
        const metrics = new Map(NAMES.map((name) => [name, new NaiveMetric()]))
        const effective = facts.flatMap((fact, n) => {
          const name = metricOf(fact)
          if (!metrics.get(name)?.hear(fact)) return []
          const version =
            fact.name === "metric_applied" ? fact.body.definition.version : "version" in fact.body && fact.body.version
          return [[timeOf(n), name, fact.name, version]]
        })
        expect(told.toSorted(([a], [b]) => Number(a) - Number(b))).toEqual(effective)
      }),
      { numRuns: 500 },
    )
  })
})

interface Row {
  readonly id: number
  definition: MetricDefinition
  state: "building" | "ready" | "live" | "detached" | "dropped"
  liveSince: number | null
  group: string
}

/** The table of builds, as small as it can be: it does what `ReadModel` says of register, adopt, relabel, makeLive and drop. */
class NaiveTable {
  rows: Array<Row> = []
  /** Whether anything is projected. */
  begun = false
  #id = 0
  #instant = 2_000_000

  get held(): ReadonlyArray<Build> {
    return this.rows.filter(({ state }) => state !== "dropped").map((row) => ({ ...row, build: 1 }) as Build)
  }

  isLive(name: string): boolean {
    return this.rows.some(({ definition, state }) => state === "live" && definition.name === name)
  }

  register(definitions: ReadonlyArray<MetricDefinition>, histories: MetricHistories): void {
    const group = this.begun ? `build-${this.#id + 1}` : LIVE_GROUP
    for (const definition of definitions) {
      const { name, version } = definition
      const isSame = (row: Row) => row.definition.name === name && row.definition.version === version
      if (this.rows.some((row) => row.state !== "dropped" && isSame(row))) continue
      const liveSince = this.begun ? null : liveSinceOf(histories, definition)
      const state = this.begun ? "building" : liveSince === null ? "ready" : "detached"
      const row: Row = { id: ++this.#id, definition, state, liveSince, group }
      this.rows.push(row)
      if (!this.begun && !this.isLive(name)) this.#takeOver(row)
    }
  }

  adopt(group: string): void {
    for (const row of this.rows.filter((row) => row.group === group && row.state === "building")) {
      row.group = LIVE_GROUP
      row.state = "ready"
      const { name } = row.definition
      const isFirst = this.rows.every(
        ({ id, definition, state }) => definition.name !== name || state === "dropped" || id >= row.id,
      )
      if (isFirst && !this.isLive(name)) this.#takeOver(row)
    }
  }

  get groups(): ReadonlyArray<string> {
    return [...new Set(this.rows.filter(({ state }) => state === "building").map(({ group }) => group))]
  }

  #takeOver(row: Row): void {
    row.state = "live"
    row.liveSince = ++this.#instant
  }

  relabel(id: number, definition: MetricDefinition): void {
    const row = this.rows.find((row) => row.id === id && row.state !== "dropped")
    if (row !== undefined) row.definition = definition
  }

  makeLive(id: number): void {
    const row = this.rows.find((row) => row.id === id && (row.state === "ready" || row.state === "detached"))
    if (row === undefined) return
    for (const old of this.rows) {
      if (old.definition.name === row.definition.name && old.state === "live") old.state = "detached"
    }
    this.#takeOver(row)
  }

  drop(builds: ReadonlyArray<Pick<Build, "id" | "state">>): void {
    for (const { id, state } of builds) {
      const row = this.rows.find((row) => row.id === id)
      if (row !== undefined && (row.state !== "live" || state === "live")) row.state = "dropped"
    }
  }
}

const isOver = ({ register, relabel, makeLive, drop }: Reconciliation): boolean =>
  register.length + relabel.length + makeLive.length + drop.length === 0

/** Somebody who brings the table in line: looks at the table, then at the facts, and does one thing at a time. */
class Reader {
  readonly #table: NaiveTable
  #held: ReadonlyArray<Build> | null = null
  #due: Array<() => void> = []
  #rounds = 0
  isThrough = false

  constructor(table: NaiveTable) {
    this.#table = table
  }

  /** Rounds that did something. */
  get rounds(): number {
    return this.#rounds
  }

  /** The next of what it does: a look at the table, a look at the facts, or a change. */
  step(facts: ReadonlyArray<ControlFact>): void {
    const table = this.#table
    const change = this.#due.shift()
    if (change !== undefined) return change()
    if (this.#held === null) {
      this.#held = table.held
      return
    }
    const histories = heard(facts)
    const found = reconcile(histories, this.#held)
    this.#held = null
    this.isThrough = isOver(found)
    if (!this.isThrough) this.#rounds++
    const { register, relabel, makeLive, drop } = found
    if (register.length > 0) this.#due.push(() => table.register(register, histories))
    for (const { id, definition } of relabel) this.#due.push(() => table.relabel(id, definition))
    if (makeLive.length > 0) this.#due.push(() => makeLive.forEach((id) => table.makeLive(id)))
    if (drop.length > 0) this.#due.push(() => table.drop(drop))
  }

  /** Goes on until there is nothing to do; how many rounds did something. */
  finish(facts: ReadonlyArray<ControlFact>): number {
    this.isThrough = false
    const before = this.#rounds
    for (let steps = 0; !this.isThrough; steps++) {
      if (steps > 200) throw new Error("never over")
      this.step(facts)
    }
    return this.#rounds - before
  }
}

/** What was found and then no longer is, until nothing is to be done: register, relabel, make live, drop what it replaced. */
const ROUNDS_MAX = 4

/** Builds everything that is being built, as the projector does, until there is nothing left to do. */
const settleTable = (table: NaiveTable, facts: ReadonlyArray<ControlFact>): void => {
  for (let turn = 0; ; turn++) {
    expect(new Reader(table).finish(facts)).toBeLessThanOrEqual(ROUNDS_MAX)
    table.begun = true
    if (table.groups.length === 0) return
    expect(turn).toBeLessThan(2)
    for (const group of table.groups) table.adopt(group)
  }
}

/** The builds that a table that is made anew has to come to. What shares a build with other versions may be ready or detached. */
const summary = (table: NaiveTable, metrics: ReadonlyMap<string, NaiveMetric>) =>
  table.held
    .map(({ definition, state }) => {
      const name = `${definition.name}@${definition.version}`
      if (state === "live" || isAlone(definition, metrics)) return `${name} ${state}`
      return `${name} ${state === "building" ? state : "built"}`
    })
    .toSorted()

/** Builds that answered before, the last one first. */
const wayBack = (table: NaiveTable, metrics: ReadonlyMap<string, NaiveMetric>) =>
  table.held
    .filter(({ definition, state }) => state === "detached" && isAlone(definition, metrics))
    .toSorted((a, b) => b.liveSince! - a.liveSince!)
    .map(({ definition: { name, version } }) => `${name}@${version}`)

/** Whether no other version of the metric counts the same. */
const isAlone = (definition: MetricDefinition, metrics: ReadonlyMap<string, NaiveMetric>): boolean => {
  const versions = [...(metrics.get(definition.name)?.definitions.values() ?? [])]
  return versions.filter((other) => countsTheSame(other, definition)).length <= 1
}

const expectOneLive = (table: NaiveTable): void => {
  const live = table.rows.filter(({ state }) => state === "live").map(({ definition }) => definition.name)
  expect(live).toHaveLength(new Set(live).size)
}

/** The table is what the facts ask for. */
const expectInLine = (table: NaiveTable, facts: ReadonlyArray<ControlFact>): void => {
  const naive = naivelyHeard(facts)
  expectOneLive(table)
  for (const name of ["a", "b"]) {
    const metric = naive.get(name)
    const builds = table.held.filter(({ definition }) => definition.name === name)
    const live = builds.filter(({ state }) => state === "live").map(({ definition }) => definition)
    const answering = metric?.answering
    expect(live.map(({ version }) => version)).toEqual(answering === undefined ? [] : [answering.version])
    for (const definition of metric?.wanted ?? []) {
      // Two who registered versions that count the same at once leave two builds of them.
      expect(builds.some((build) => countsTheSame(build.definition, definition))).toBe(true)
    }
    for (const build of builds) {
      expect(metric!.wanted.some((definition) => countsTheSame(build.definition, definition))).toBe(true)
    }
  }
  for (const { name } of Object.values(BUILTIN_METRICS)) expect(table.isLive(name)).toBe(true)
}

/** What happens: a fact is recorded, a reader does the next of what it does, or a group is through. */
const arbDeeds = fc.array(
  fc.oneof(
    { arbitrary: arbFact.map((fact) => ({ what: "fact" as const, fact })), weight: 3 },
    { arbitrary: fc.nat(2).map((reader) => ({ what: "reader" as const, reader })), weight: 9 },
    { arbitrary: fc.nat(3).map((group) => ({ what: "built" as const, group })), weight: 1 },
    { arbitrary: fc.constant({ what: "begun" as const }), weight: 1 },
  ),
  { maxLength: 80, size: "max" },
)

describe("the tables", () => {
  test("come to what the facts ask for, whoever acted on older ones meanwhile", () => {
    fc.assert(
      fc.property(arbDeeds, fc.array(fc.nat(2), { maxLength: 30 }), (deeds, order) => {
        const table = new NaiveTable()
        const facts: Array<ControlFact> = []
        const readers = [new Reader(table), new Reader(table), new Reader(table)]
        for (const deed of deeds) {
          if (deed.what === "fact") facts.push(deed.fact)
          else if (deed.what === "reader") readers[deed.reader]!.step(facts)
          else if (deed.what === "begun") table.begun = true
          else if (table.groups.length > 0) table.adopt(table.groups[deed.group % table.groups.length]!)
          expectOneLive(table)
        }
        for (const reader of order) readers[reader]!.step(facts)
        for (const reader of readers) reader.finish(facts)
        settleTable(table, facts)
        expectInLine(table, facts)
      }),
      { numRuns: 300 },
    )
  })

  test("that are emptied come to the same versions in the same states, and so does the way back", () => {
    fc.assert(
      fc.property(fc.array(arbFact, { maxLength: 30 }), (facts) => {
        const table = new NaiveTable()
        for (let heard = 0; heard <= facts.length; heard++) settleTable(table, facts.slice(0, heard))
        const emptied = new NaiveTable()
        settleTable(emptied, facts)
        const metrics = naivelyHeard(facts)
        expect(summary(emptied, metrics)).toEqual(summary(table, metrics))
        for (const name of ["a", "b"]) {
          const ofMetric = (names: ReadonlyArray<string>) => names.filter((build) => build.startsWith(name))
          expect(ofMetric(wayBack(emptied, metrics))).toEqual(ofMetric(wayBack(table, metrics)))
        }
      }),
      { numRuns: 200 },
    )
  })

  test("never stop answering for a metric that goes on", () => {
    fc.assert(
      fc.property(arbDeeds, (deeds) => {
        const table = new NaiveTable()
        table.begun = true
        const facts: Array<ControlFact> = []
        const readers = [new Reader(table), new Reader(table), new Reader(table)]
        const answered = new Set<string>()
        for (const deed of deeds) {
          if (deed.what === "fact") facts.push(deed.fact)
          else if (deed.what === "reader") readers[deed.reader]!.step(facts)
          else if (deed.what === "built" && table.groups.length > 0) {
            table.adopt(table.groups[deed.group % table.groups.length]!)
          }
          for (const name of ["a", "b"]) {
            const ends = facts.some(
              (fact) =>
                metricOf(fact) === name &&
                (fact.name === "metric_retired" ||
                  (fact.name === "metric_applied" && !buildsMeasure(fact.body.definition))),
            )
            if (answered.has(name) && !ends) expect(table.isLive(name)).toBe(true)
            if (table.isLive(name)) answered.add(name)
          }
        }
      }),
      { numRuns: 500 },
    )
  })
})
