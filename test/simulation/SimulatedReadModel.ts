import { Effect } from "effect"
import { isAnonymous } from "../../src/domain/identity/distinctId.ts"
import type { KnownFacts, StepChanges } from "../../src/domain/projection/StepChanges.ts"
import { type CountedTo, EVERYBODY } from "../../src/domain/projection/counted.ts"
import { CheckpointConflict, ReadModelUnavailable } from "../../src/domain/projection/errors.ts"
import {
  type KnownTables,
  LIVE_GROUP,
  type Build,
  ReadModel,
  type Step,
  type StepPlace,
  type PersonCounter,
} from "../../src/domain/projection/ReadModel.ts"
import { INTAKE } from "../../src/domain/projection/ReadModelQueries.ts"
import type { Random } from "../../src/domain/simulate/random.ts"
import { countPortion } from "../support/countPortion.ts"
import type { CallFault, CallFaults } from "./faults.ts"
import type { Flaw, Flaws } from "./flaws.ts"
import { Tables } from "./Tables.ts"
import type { Process, World } from "./World.ts"

/** What observers are told, by the database itself: they keep books of their own. */
export type Happening =
  | { readonly what: "claimed"; readonly group: string; readonly partition: number; readonly epoch: number }
  | { readonly what: "committed"; readonly step: Step }
  | { readonly what: "live fenced" }
  | { readonly what: "ended"; readonly group: string }
  | { readonly what: "emptied" }

/** A transaction under way, and the rows of who is who that it has locked. */
interface Transaction {
  readonly locked: Set<number>
  /** The row that it waits for. */
  waitsFor: number | null
  /** Whether a measure of the step does not count everybody yet. */
  holdsCounting: boolean
  /** Rolled back by the server, which its process will find out. */
  ended: boolean
}

/** Times that an adapter settles one step. */
const SETTLED_MAX = 3

/**
 * The read model's database, which outlives all processes; each process opens it by a port of its own. It does what the
 * tables of `SqlReadModel` do in Postgres, at READ COMMITTED: rows of persons are locked, a step is written in one
 * moment, and a row that somebody else has added meanwhile is a failure that can be tried again.
 */
export class SimulatedReadModel {
  readonly tables = new Tables()
  readonly #world: World
  readonly #faults: CallFaults
  readonly #flaws: Flaws
  readonly #observe: (happening: Happening) => void
  #transactions: Array<Transaction> = []
  /** Whoever counts persons: one at a time. */
  #counts: symbol | null = null

  constructor(world: World, faults: CallFaults, flaws: Flaws, observe: (happening: Happening) => void) {
    this.#world = world
    this.#faults = faults
    this.#flaws = flaws
    this.#observe = observe
  }

  /** Ends the session of a transaction under way, as a server does that is told to or has waited too long. */
  endSession(random: Random): void {
    if (this.#transactions.length === 0) return
    const transaction = random.oneOf(this.#transactions)
    this.#world.note("! a session is ended")
    transaction.ended = true
    this.#end(transaction)
  }

  /** Opens the read model for one process. */
  open(process: Process): ReadModel["Service"] {
    const { tables } = this
    const world = this.#world
    const has = (flaw: Flaw) => this.#flaws.has(flaw)

    const unavailable = (attempted: string, reason: string, outcome: "not-done" | "unknown" = "not-done") =>
      new ReadModelUnavailable({ attempted, reason, retryable: outcome === "not-done", outcome })

    /** One call: asked for, done in one moment, answered, with whatever may happen between. */
    const call = <A>(
      name: string,
      attempted: string,
      run: () => A,
      options: { readonly writes?: boolean; readonly ready?: () => boolean } = {},
    ): Effect.Effect<A, ReadModelUnavailable> =>
      Effect.gen({ self: this }, function* () {
        yield* world.gate(process, name, options.ready)
        const possible: ReadonlyArray<CallFault> = options.writes ? ["refused", "lost-answer"] : ["refused"]
        const fault = this.#faults.strike(process, name, [...possible, "slow-answer"])
        if (fault === "refused") return yield* unavailable(attempted, "the database is away")
        const result = run()
        if (fault === "lost-answer") return yield* unavailable(attempted, "the answer got lost", "unknown")
        if (fault === "slow-answer") yield* world.gate(process, `${name} answers`)
        return result
      })

    const measures = (): ReadonlyArray<Build> =>
      tables.measures.flatMap(({ state, ...row }) => (state === "dropped" ? [] : [{ ...row, state }]))

    const fenceLive = () => {
      for (const row of tables.checkpoints) if (row.group === LIVE_GROUP) row.epoch = tables.nextEpoch()
      this.#observe({ what: "live fenced" })
    }

    const claim = (group: string, partition: number) => {
      const epoch = tables.nextEpoch()
      const held = tables.rowOf(group, partition)
      if (held === undefined) tables.checkpoints.push({ group, partition, epoch, checkpoint: null })
      else held.epoch = epoch
      this.#observe({ what: "claimed", group, partition, epoch })
      return { epoch, checkpoint: held?.checkpoint ?? null }
    }

    type Register = (...args: Parameters<ReadModel["Service"]["register"]>) => ReadonlyArray<Build>
    const register: Register = (definitions, liveSince = () => null) => {
      const news = definitions.filter((definition) => !tables.holds(definition))
      if (news.length > 0) insert(news, liveSince)
      return measures()
    }

    const insert = (
      definitions: ReadonlyArray<Build["definition"]>,
      liveSince: (definition: Build["definition"]) => number | null,
    ) => {
      if (!has("registers in silence")) fenceLive()
      const begun = tables.checkpoints.some(({ checkpoint }) => checkpoint !== null)
      const group = begun ? `build-${tables.nextMeasureId}` : LIVE_GROUP
      for (const definition of definitions) {
        const since = begun ? null : liveSince(definition)
        tables.addMeasure(definition, begun ? "building" : since === null ? "ready" : "detached", group, since)
      }
      if (begun) return
      for (const row of tables.measures) {
        if (row.state === "dropped" || tables.isLive(row.definition.name)) continue
        row.state = "live"
        if (row.liveSince === null) tables.begunLive(row.id)
      }
    }

    const rebuild = (ids: ReadonlyArray<number>) => {
      if (!tables.checkpoints.some(({ checkpoint }) => checkpoint !== null)) return
      const due = tables.measures.filter(
        ({ id, definition, state }) =>
          ids.includes(id) &&
          state === "live" &&
          !tables.buildsOf(definition).some((other) => other.state === "building" || other.state === "ready"),
      )
      if (due.length > 0) {
        insert(
          due.map(({ definition }) => definition),
          () => null,
        )
      }
    }

    const makeLive = (ids: ReadonlyArray<number>) => {
      const due = tables.measures.filter(
        ({ id, state }) => ids.includes(id) && (state === "ready" || state === "detached"),
      )
      if (due.length === 0) return
      for (const row of due) {
        for (const old of tables.measures) {
          if (old.definition.name === row.definition.name && old.state === "live") old.state = "detached"
        }
        row.state = "live"
        tables.begunLive(row.id)
      }
      fenceLive()
    }

    const relabel = (id: number, definition: Build["definition"]) => {
      const row = tables.measures.find((it) => it.id === id && it.state !== "dropped")
      if (row !== undefined && row.definition.version !== definition.version) tables.relabel(row, definition)
    }

    const drop = (builds: ReadonlyArray<Pick<Build, "id" | "state">>) => {
      const due = tables.measures.filter(({ id, state }) => {
        const found = builds.find((build) => build.id === id)
        return found !== undefined && state !== "dropped" && (state !== "live" || found.state === "live")
      })
      if (due.length === 0) return
      const groups = new Set(due.filter(({ state }) => state === "building").map(({ group }) => group))
      for (const row of due) tables.drop(row)
      for (const group of groups) {
        if (!tables.measures.some((row) => row.group === group && row.state === "building")) {
          this.#observe({ what: "ended", group })
        }
      }
      fenceLive()
    }

    /** A change of builds by their numbers, which are those of others once the tables were emptied. */
    const changing = (name: string, made: string, change: () => void) =>
      call(name, `${name} metrics`, () => (tables.made === made ? change() : undefined), { writes: true })

    const standsWhereLiveStands = (group: string): boolean =>
      tables.checkpoints.every((live) => {
        if (live.group !== LIVE_GROUP || live.checkpoint === null) return true
        const built = tables.rowOf(group, live.partition)?.checkpoint
        return built != null && samePosition(built.position, live.checkpoint.position)
      })

    const adopt = (group: string): boolean => {
      const built = tables.measures.filter((row) => row.group === group && row.state === "building")
      const isReady = standsWhereLiveStands(group) && built.every(({ id }) => !tables.counting.has(id))
      if (!isReady && !has("adopts too early")) return false
      for (const row of built) {
        const answers = tables.isFirst(row)
        row.state = answers ? "live" : "ready"
        if (answers) tables.begunLive(row.id)
        row.group = LIVE_GROUP
      }
      tables.checkpoints = tables.checkpoints.filter((row) => row.group !== group)
      this.#observe({ what: "ended", group })
      fenceLive()
      return true
    }

    return ReadModel.of({
      settings: call("settings", "read the settings of the read model", () => tables.settings),
      isWhole: call("isWhole", "read the state of the read model", () => tables.answers),
      made: call("made", "read when the read model was made", () => tables.made),
      markWhole: (made) =>
        call("markWhole", "mark the read model as whole", () => void (tables.whole ||= tables.made === made), {
          writes: true,
        }),
      controlEnd: call("controlEnd", "read where the control facts ended", () => tables.controlEnd),
      noteControlEnd: (end, made) =>
        call(
          "noteControlEnd",
          "note where the control facts end",
          () => (tables.made === made ? tables.noteControlEnd(end) : undefined),
          { writes: true },
        ),
      measures: call("measures", "read the metrics of the read model", measures),
      checkpoint: (group, partition) =>
        call("checkpoint", "read a checkpoint", () => tables.rowOf(group, partition)?.checkpoint ?? null),
      claim: (group, partition) =>
        call(`claim ${group}/${partition}`, "claim a partition", () => claim(group, partition), { writes: true }),
      dedupeEntries: (partition, from) =>
        call("dedupeEntries", "read the dedupe index", () =>
          has("keeps no dedupe index")
            ? []
            : [...(tables.dedupe.get(partition)?.values() ?? [])]
                .filter(({ loggedAt }) => loggedAt >= from)
                .sort((a, b) => a.sequence - b.sequence),
        ),
      duplicates: (partition, after) =>
        call(
          "duplicates",
          "read the duplicates",
          () => new Map([...(tables.duplicates.get(partition) ?? [])].filter(([sequence]) => sequence > after)),
        ),
      keysOf: (place, distinctIds) =>
        call(
          `keysOf ${place.group}/${place.partition}`,
          "give distinct ids their keys",
          () => (this.#holds(place) ? tables.keysOf(distinctIds) : null),
          { writes: true },
        ).pipe(Effect.flatMap((keys) => (keys === null ? conflictOf(place) : Effect.succeed(keys)))),
      commit: (step, settle) => this.#commit(process, step, settle),
      countNext: (group, limit, begin) => this.#countNext(process, group, limit, begin),
      register: (definitions, liveSince) =>
        call("register", "register metrics", () => register(definitions, liveSince), { writes: true }),
      rebuild: (ids, made) => changing("rebuild", made, () => rebuild(ids)),
      adopt: (group) => call(`adopt ${group}`, "take over what was built", () => adopt(group), { writes: true }),
      makeLive: (ids, made, end = null) =>
        changing("make live", made, () => {
          if (end !== null) tables.noteControlEnd(end)
          makeLive(ids)
        }),
      relabel: (id, definition, made) => changing("relabel", made, () => relabel(id, definition)),
      drop: (builds, made) => changing("drop", made, () => drop(builds)),
      sweep: () => call("sweep", "delete what dropped versions left", () => tables.sweep(), { writes: true }),
      wipe: (settings, made) =>
        call(
          "wipe",
          "empty the read model",
          () => {
            if (tables.made !== made) return null
            tables.empty(settings)
            this.#observe({ what: "emptied" })
            return tables.made
          },
          // TRUNCATE waits for whoever reads the tables.
          { writes: true, ready: () => this.#transactions.length === 0 && this.#counts === null },
        ),
    })
  }

  /** Counts one portion of persons in one transaction, which ends with its process. */
  #countNext(
    process: Process,
    group: string,
    limit: number,
    begin: () => PersonCounter,
  ): Effect.Effect<boolean, ReadModelUnavailable> {
    const name = `count ${group}`
    const failed = (outcome: "not-done" | "unknown") =>
      new ReadModelUnavailable({
        attempted: "count persons",
        reason: "the connection broke",
        retryable: outcome === "not-done",
        outcome,
      })
    const run = Effect.gen({ self: this }, function* () {
      const { tables } = this
      yield* this.#world.gate(process, name)
      if (this.#faults.strike(process, name, ["refused"]) !== null) return yield* failed("not-done")
      const isFree = () => this.#counts === null && !this.#transactions.some(({ holdsCounting }) => holdsCounting)
      yield* this.#world.gate(
        process,
        `${name} alone`,
        this.#flaws.has("counts beside steps") ? () => this.#counts === null : isFree,
      )
      const token = Symbol(name)
      const release = () => void (this.#counts = this.#counts === token ? null : this.#counts)
      this.#counts = token
      process.onDeath.push(release)
      return yield* Effect.gen({ self: this }, function* () {
        const uncounted = tables.nextUncounted(group, limit)
        if (uncounted === "everybody") return true
        const changes = countPortion(uncounted, begin())
        yield* this.#world.gate(process, `${name} writes`)
        const fault = this.#faults.strike(process, `${name} writes`, ["refused", "lost-answer", "unknown-not-done"])
        if (fault === "refused") return yield* failed("not-done")
        if (fault === "unknown-not-done") return yield* failed("unknown")
        tables.applyCount(uncounted, changes)
        return fault === "lost-answer" ? yield* failed("unknown") : false
      }).pipe(Effect.ensuring(Effect.sync(release)))
    })
    return run
  }

  /** One step in one transaction, which ends with its process. */
  #commit(
    process: Process,
    step: Step,
    settle: (known: KnownTables) => Effect.Effect<StepChanges, ReadModelUnavailable>,
  ): Effect.Effect<void, CheckpointConflict | ReadModelUnavailable> {
    const attempted = "commit a step of the projection"
    const name = `commit ${step.group}/${step.partition}`
    const failed = (reason: string, outcome: "not-done" | "unknown" = "not-done") =>
      new ReadModelUnavailable({ attempted, reason, retryable: outcome === "not-done", outcome })

    const attempt = Effect.fnUntraced({ self: this }, function* (transaction: Transaction) {
      yield* this.#world.gate(process, name)
      const asked = this.#faults.strike(process, name, ["refused"])
      if (asked === "refused") return yield* failed("the database is away")
      if (!this.#holds(step)) return yield* conflictOf(step)
      // As long as anybody is not counted, a step and the counting wait for each other.
      const isFree = () => this.#counts === null || this.#flaws.has("counts beside steps")
      yield* this.#world.gate(process, "reads who is counted", isFree)
      if (transaction.ended) return yield* failed("terminating connection due to administrator command")
      const countedTo = step.measures.map((measure) => this.tables.counting.get(measure) ?? EVERYBODY)
      transaction.holdsCounting = countedTo.some((to) => to !== EVERYBODY)
      const changes = yield* settle(this.#known(process, transaction, countedTo))
      yield* this.#world.gate(process, `${name} writes`)
      const fault = this.#faults.strike(process, `${name} writes`, [
        "refused",
        "lost-answer",
        "unknown-not-done",
        "deadlock",
        "settled-again",
        "slow-answer",
      ])
      const halves = this.#flaws.has("commits by halves")
      if (fault === "deadlock" || fault === "settled-again") {
        if (halves) this.tables.writeCells(step.measures, changes)
        return fault === "settled-again" ? "again" : yield* failed("deadlock detected")
      }
      if (transaction.ended) return yield* failed("terminating connection due to administrator command")
      if (fault === "refused") return yield* failed("the database is away")
      if (fault === "unknown-not-done") return yield* failed("the connection broke", "unknown")
      if (!this.#holds(step)) return yield* conflictOf(step)
      if (changes.identities.some((row) => !transaction.locked.has(row.key) && this.tables.violates(row))) {
        return yield* failed("duplicate key value violates a unique constraint")
      }
      this.#write(step, changes)
      if (fault === "lost-answer") {
        if (this.#flaws.has("repeats what is unknown")) this.#write(step, changes)
        return yield* failed("the connection broke", "unknown")
      }
      this.#end(transaction)
      if (fault === "slow-answer") yield* this.#world.gate(process, `${name} answers`)
      return "done"
    })

    return Effect.gen({ self: this }, function* () {
      for (let settled = 1; settled <= SETTLED_MAX; settled++) {
        const transaction: Transaction = { locked: new Set(), waitsFor: null, holdsCounting: false, ended: false }
        this.#transactions.push(transaction)
        process.onDeath.push(() => this.#end(transaction))
        const outcome = yield* attempt(transaction).pipe(Effect.ensuring(Effect.sync(() => this.#end(transaction))))
        if (outcome === "done") return
      }
      return yield* failed("the transaction was given up too often")
    })
  }

  #end(transaction: Transaction): void {
    this.#transactions = this.#transactions.filter((other) => other !== transaction)
  }

  #ownerOf(key: number, asks: Transaction): Transaction | undefined {
    return this.#transactions.find((other) => other !== asks && other.locked.has(key))
  }

  /** Whether those that a transaction waits for wait for it. */
  #isDeadlock(transaction: Transaction): boolean {
    const met = new Set<Transaction>()
    let at: Transaction | undefined = transaction
    while (at !== undefined && at.waitsFor !== null && !met.has(at)) {
      met.add(at)
      at = this.#ownerOf(at.waitsFor, at)
    }
    return at === transaction && met.size > 0
  }

  /** Whether a step finds its checkpoint where it read it, under its own epoch. */
  #holds({ group, partition, epoch, expected }: StepPlace): boolean {
    if (this.#flaws.has("does not reload after a conflict")) return true
    const row = this.tables.rowOf(group, partition)
    if (row === undefined) return false
    const { checkpoint } = row
    const there =
      expected === null ? checkpoint === null : checkpoint !== null && samePosition(checkpoint.position, expected)
    return there && (row.epoch === epoch || this.#flaws.has("ignores the epoch"))
  }

  /** What a step may look up: first who is who, whose rows it locks, then facts. */
  #known(process: Process, transaction: Transaction, countedTo: ReadonlyArray<CountedTo>): KnownTables {
    const { tables } = this
    const world = this.#world
    const lost = (attempted: string, reason = "the connection broke") =>
      new ReadModelUnavailable({ attempted, reason, retryable: true, outcome: "not-done" })

    const lock = Effect.fnUntraced({ self: this }, function* (key: number) {
      const isFree = () => this.#flaws.has("locks nobody") || this.#ownerOf(key, transaction) === undefined
      if (!isFree()) {
        transaction.waitsFor = key
        if (this.#isDeadlock(transaction)) return yield* lost("read who is who", "deadlock detected")
        yield* world.gate(process, `waits for row ${key}`, isFree)
        transaction.waitsFor = null
      }
      transaction.locked.add(key)
    })

    return {
      countedTo,
      identities: Effect.fnUntraced({ self: this }, function* (distinctIds, withOlderParts, alone = []) {
        yield* world.gate(process, "looks who is who")
        const fault = this.#faults.strike(process, "looks who is who", ["refused"])
        if (fault === "refused") return yield* lost("read who is who")
        const wanted = new Set(distinctIds)
        for (;;) {
          // In the order of the keys, so that no two wait for each other; then again, since persons may have grown.
          for (const { key } of tables.membersOf(wanted, alone)) if (!transaction.locked.has(key)) yield* lock(key)
          if (transaction.ended) return yield* lost("read who is who")
          const members = tables.membersOf(wanted)
          const rows = tables.membersOf(wanted, alone)
          if (!rows.every(({ key }) => transaction.locked.has(key))) continue
          const held = new Set(rows.filter(({ older }) => !older).map(({ distinctId }) => distinctId))
          const users = new Set(
            members.filter(({ distinctId }) => !isAnonymous(distinctId)).map((row) => row.distinctId),
          )
          const statements = [...tables.statements.values()].filter(
            ({ first, second }) => users.has(`u:${first}`) || users.has(`u:${second}`),
          )
          const missing = distinctIds.filter((distinctId) => !held.has(distinctId)).length
          const all = withOlderParts ? tables.withOlderParts(rows) : rows
          return { rows: all, statements, newKeys: tables.nextKeys(missing) }
        }
      }),
      facts: Effect.fnUntraced({ self: this }, function* (needs) {
        yield* world.gate(process, "reads facts")
        if (transaction.ended) return yield* lost("read facts")
        const fault = this.#faults.strike(process, "reads facts", ["refused"])
        if (fault === "refused") return yield* lost("read facts")
        if (this.#flaws.has("forgets older facts")) return needs.map(() => new Map())
        return needs.map(({ measure, keys }) => tables.factsOf(measure, keys)) satisfies KnownFacts
      }),
    }
  }

  #write(step: Step, changes: StepChanges): void {
    const { tables } = this
    const { group, partition, epoch, next } = step
    tables.writeChanges(step.measures, changes)
    if (group === LIVE_GROUP) {
      for (const delta of step.intake) tables.addToCell(INTAKE, delta)
      const entries = tables.dedupe.get(partition) ?? new Map()
      for (const entry of step.dedupe) entries.set(entry.sequence, entry)
      for (const [sequence, { loggedAt }] of entries) if (loggedAt < step.dedupeFrom) entries.delete(sequence)
      tables.dedupe.set(partition, entries)
      const duplicates = tables.duplicates.get(partition) ?? new Map<number, ReadonlySet<number>>()
      for (const { sequence, places } of step.duplicates) duplicates.set(sequence, new Set(places))
      tables.duplicates.set(partition, duplicates)
    }
    tables.failures.push(...step.failures)
    const row = tables.rowOf(group, partition)
    if (row === undefined) tables.checkpoints.push({ group, partition, epoch, checkpoint: next })
    else row.checkpoint = next
    this.#observe({ what: "committed", step })
  }
}

const samePosition = (
  a: { readonly incarnation: string; readonly sequence: number; readonly batchId: string },
  b: { readonly incarnation: string; readonly sequence: number; readonly batchId: string },
): boolean => a.incarnation === b.incarnation && a.sequence === b.sequence && a.batchId === b.batchId

const conflictOf = ({ group, partition, epoch, expected }: StepPlace) =>
  new CheckpointConflict({ group, partition, epoch, expected })
