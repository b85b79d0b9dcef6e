import { createHash } from "node:crypto"
import { Effect, type Exit } from "effect"
import { Projector, type ProjectError } from "../../src/app/projection/Projector.ts"
import { Random } from "../../src/domain/simulate/random.ts"
import { Books, dump } from "./Books.ts"
import { end, ENDS } from "./ends.ts"
import { RandomFaults } from "./faults.ts"
import { type Flaw, Flaws } from "./flaws.ts"
import { failureOf, productOf, type Products, type Servers, workOnce, write } from "./processes.ts"
import { SimulatedLog } from "./SimulatedLog.ts"
import { SimulatedReadModel } from "./SimulatedReadModel.ts"
import { type Happens, type Job, type Story, type StoryOptions, tell } from "./story.ts"
import { type Process, World } from "./World.ts"

/** How one seed ended. */
export interface Outcome {
  /** The first thing that must never happen and did; `null` for a healthy run. */
  readonly violation: string | null
  readonly trace: ReadonlyArray<string>
  /** Of all decisions and of all that the tables held at the end. */
  readonly hash: string
  readonly events: number
  readonly steps: number
  readonly commits: number
  readonly comparisons: number
  /** What the seed met: faults, kills, damage. */
  readonly met: ReadonlyArray<string>
}

/** Steps after which a world that does not come to rest is given up. */
const STEPS_MAX = 60_000

/** How often a kill, a freeze and so on comes between two steps, while they are switched on. */
const HAPPENS = 0.012

/** How often a frozen process is thawed between two steps. */
const THAWS = 0.01

/** How often the tables are compared with the oracle in the middle of everything, after a commit. */
const LOOKS = 0.04

const HOUR = 3_600_000

/** Plays the story of a seed: writers and projectors under faults, with a quiet moment after each phase. */
export const simulateSeed = (seed: number, options: StoryOptions & { readonly flaw?: Flaw } = {}): Outcome => {
  const simulation = new Simulation(seed, tell(seed, options), new Flaws(options.flaw))
  return simulation.run()
}

class Simulation {
  readonly #story: Story
  readonly #world: World
  readonly #random: Random
  readonly #faults: RandomFaults
  readonly #books: Books
  readonly #servers: Servers
  readonly #met = new Set<string>()

  #jobs: Array<Job> = []
  /** Jobs taken and neither done nor given up. */
  #underway = 0
  #controlUnderway = false
  readonly #writers = new Set<Process>()
  readonly #projectors = new Set<Process>()
  #births = 0
  /** Projectors end when they have finished what they do. */
  #stopping = false
  #rebuilds = 0

  constructor(seed: number, story: Story, flaws: Flaws) {
    this.#story = story
    this.#world = new World(seed)
    this.#random = new Random(seed * 2)
    this.#faults = new RandomFaults(this.#world, new Random(seed * 3), {
      enabled: story.enabled,
      rate: story.faultRate,
      budget: story.faultBudget,
    })
    this.#books = new Books(story.partitions)
    const log = new SimulatedLog(this.#world, this.#faults, story, flaws)
    this.#servers = { log, readModel: new SimulatedReadModel(this.#world, this.#faults, flaws, this.#books.hear) }
  }

  run(): Outcome {
    let crashed: string | null = null
    try {
      this.#write([{ what: "settings", settings: this.#story.first }])
      this.#play()
    } catch (cause) {
      crashed = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
    }
    const { trace, steps } = this.#world
    const tables = dump(this.#servers.readModel.tables)
    for (const line of trace) if (/^!.*: /.test(line)) this.#met.add(line.slice(line.indexOf(": ") + 2))
    return {
      violation: this.#books.violations[0] ?? crashed,
      trace,
      hash: createHash("sha256").update(trace.join("\n")).update(tables).digest("hex"),
      events: this.#books.acknowledged,
      steps,
      commits: this.#books.commits,
      comparisons: this.#books.comparisons,
      met: [...this.#met],
    }
  }

  #play(): void {
    for (const [n, jobs] of this.#story.phases.entries()) {
      this.#phase(jobs)
      this.#quiet()
      const last = n === this.#story.phases.length - 1
      if (!last && this.#random.chance(0.5)) this.#world.now += this.#random.oneOf([HOUR, 9 * 24 * HOUR])
    }
    if (!this.#failed) this.#end()
  }

  /** How the log ends: cut off by retention, damaged, put back, or well. */
  #end(): void {
    const { enabled, tail } = this.#story
    // Only a stream is ever cut off at its front.
    const possible = ENDS.filter((kind) => enabled.has(kind) && (kind !== "retention" || this.#servers.log.shared))
    if (possible.length === 0 || tail.length === 0) return
    const kind = this.#random.oneOf(possible)
    this.#met.add(kind)
    end(kind, {
      world: this.#world,
      servers: this.#servers,
      books: this.#books,
      tail,
      random: this.#random,
      runAlone: (name, program) => this.#runAlone(name, program),
      met: (what) => this.#met.add(what),
    })
  }

  get #failed(): boolean {
    return this.#books.violations.length > 0
  }

  /** Everything at once, and faults. */
  #phase(jobs: ReadonlyArray<Job>): void {
    this.#jobs = [...jobs]
    this.#stopping = false
    this.#faults.active = true
    for (let n = 0; n < this.#story.writerProcesses; n++) this.#startWriter()
    for (let n = 0; n < this.#story.projectors; n++) this.#startProjector()
    const extra = this.#random.between(0, 150)
    let idle = 0
    while (!this.#failed && (this.#jobs.length > 0 || this.#underway > 0 || idle++ < extra)) this.#turn(true)
    // Then no more faults, and what was begun ends.
    this.#faults.active = false
    this.#stopping = true
    for (const process of [...this.#writers, ...this.#projectors]) process.frozen = false
    while (!this.#failed && this.#projectors.size > 0) this.#turn(false)
    for (const writer of this.#writers) this.#world.kill(writer)
    this.#writers.clear()
  }

  /** When nothing is under way and no fault comes, one projection is enough, and the tables are right. */
  #quiet(): void {
    if (this.#failed) return
    const error = failureOf(
      this.#runAlone(
        "judge",
        Projector.use((projector) => projector.project()),
      ),
    )
    if (error !== null)
      this.#books.violations.push(`with nothing in its way, a projection fails: ${error._tag}: ${error.message}`)
    const { log, readModel } = this.#servers
    this.#books.checkQuiet(readModel.tables, log.records)
    this.#books.checkCells(readModel.tables, log.records)
  }

  /** One step of somebody, or something that happens. */
  #turn(faults: boolean): void {
    if (this.#world.steps > STEPS_MAX) throw new Error(`it does not come to rest: ${this.#world.waiting.join("; ")}`)
    if (faults && this.#random.chance(HAPPENS)) this.#happen()
    for (const process of [...this.#writers, ...this.#projectors]) {
      if (process.frozen && this.#random.chance(THAWS)) this.#thaw(process)
    }
    const commits = this.#books.commits
    if (!this.#world.step()) {
      const frozen = [...this.#writers, ...this.#projectors].filter((process) => process.frozen)
      if (frozen.length > 0) this.#thaw(this.#random.oneOf(frozen))
      else if (this.#underway > 0 || this.#stopping)
        throw new Error(`nobody can go on: ${this.#world.waiting.join("; ")}`)
    }
    if (this.#books.commits > commits && this.#random.chance(LOOKS)) {
      this.#books.checkCells(this.#servers.readModel.tables, this.#servers.log.records)
    }
  }

  #happen(): void {
    if (this.#faults.left <= 0) return
    const possible: ReadonlyArray<readonly [Happens, () => void]> = [
      ["a projector is killed", () => this.#killOne(this.#projectors, () => this.#startProjector())],
      ["a writer is killed", () => this.#killOne(this.#writers, () => this.#startWriter())],
      ["a process is frozen", () => this.#freezeOrThaw()],
      ["a clock jumps", () => this.#jumpClock()],
      ["a rebuild", () => void this.#rebuilds++],
      ["a session is ended", () => this.#servers.readModel.endSession(this.#random)],
    ]
    const enabled = possible.filter(([kind]) => this.#story.enabled.has(kind))
    if (enabled.length === 0) return
    const [kind, run] = this.#random.oneOf(enabled)
    this.#faults.left--
    this.#met.add(kind)
    run()
  }

  #killOne(processes: ReadonlySet<Process>, replace: () => void): void {
    if (processes.size === 0) return
    const process = this.#random.oneOf([...processes])
    this.#world.note(`! ${process.name} is killed`)
    // What it leaves is dealt with by its `onDeath`.
    this.#world.kill(process)
    replace()
  }

  #freezeOrThaw(): void {
    const process = this.#random.oneOf([...this.#writers, ...this.#projectors])
    if (process.frozen) return this.#thaw(process)
    process.frozen = true
    this.#world.note(`! ${process.name} is frozen`)
  }

  #thaw(process: Process): void {
    process.frozen = false
    this.#world.note(`! ${process.name} is thawed`)
  }

  #jumpClock(): void {
    const writers = [...this.#writers]
    if (writers.length === 0) return
    const process = this.#random.oneOf(writers)
    process.clockOffset += this.#random.oneOf([-HOUR, HOUR, 25 * HOUR, -25 * HOUR, 6 * 24 * HOUR, -8 * 24 * HOUR])
    this.#world.note(`! the clock of ${process.name} jumps to ${process.clockOffset}`)
  }

  #newProcess(kind: string): Process {
    return this.#world.process(`${kind}${++this.#births}`, this.#random.oneOf([1, 1, 1, 5, 0.2]))
  }

  /** A writer takes one job after another, and tries each until it is done or its client gives up. */
  #startWriter(): void {
    const process = this.#newProcess("writer")
    this.#writers.add(process)
    let held: Job | null = null
    const settle = (job: Job): void => {
      held = null
      this.#underway--
      if (job.what !== "events") this.#controlUnderway = false
    }
    process.onDeath.push(() => {
      this.#writers.delete(process)
      if (held === null) return
      const job: Job = held
      settle(job)
      // Its client tries again elsewhere, or gives up; it may be in the log all the same.
      if (job.what !== "events" || !this.#giveUp()) this.#jobs.unshift(job)
    })
    const take = (): Job | undefined => {
      const place = this.#jobs.findIndex(({ what }) => what === "events" || !this.#controlUnderway)
      if (place < 0) return undefined
      const [job] = this.#jobs.splice(place, 1)
      this.#underway++
      if (job!.what !== "events") this.#controlUnderway = true
      held = job!
      return job
    }
    const program = Effect.gen({ self: this }, function* () {
      for (;;) {
        yield* this.#world.gate(process, "takes a job", () =>
          this.#jobs.some((job) => job.what === "events" || !this.#controlUnderway),
        )
        const job = take()
        if (job === undefined) continue
        for (;;) {
          const error = failureOf(yield* Effect.exit(write(job)))
          if (error === null) {
            if (job.what === "events") this.#books.acknowledge(job.events)
            break
          }
          this.#healthy("an append", error, ["LogUnavailable"])
          if (job.what === "events" && this.#giveUp()) break
          yield* this.#world.gate(process, "tries again")
        }
        if (job.what !== "events") this.#met.add(`${job.what} change`)
        settle(job)
      }
    })
    this.#start(process, program)
  }

  #giveUp(): boolean {
    return this.#story.enabled.has("a client gives up") && this.#random.chance(0.3)
  }

  /** Projects again and again, whatever happens, until it is told to stop: everything, or one partition at a time. */
  #startProjector(): void {
    const works = this.#random.chance(0.6)
    const process = this.#newProcess(works ? "worker" : "projector")
    this.#projectors.add(process)
    process.onDeath.push(() => void this.#projectors.delete(process))
    const program = Effect.gen({ self: this }, function* () {
      const projector = yield* Projector
      const { log } = this.#servers
      let seen = -1
      while (!this.#stopping) {
        // Mostly it waits for something to do, sometimes it looks all the same.
        const waits = this.#random.chance(works ? 0.3 : 0.8)
        yield* this.#world.gate(
          process,
          "begins",
          () => !waits || seen !== log.records.length || this.#rebuilds > 0 || this.#stopping,
        )
        seen = log.records.length
        const rebuild = this.#rebuilds > 0
        if (rebuild) this.#rebuilds--
        if (rebuild) this.#world.note(`! ${process.name} rebuilds`)
        const project: Effect.Effect<unknown, ProjectError, Products> = rebuild
          ? projector.rebuild()
          : works
            ? workOnce(process.name, this.#random, this.#story.enabled.has("a rebuild beside what is live"))
            : projector.project()
        const error = failureOf(yield* Effect.exit(project))
        if (error === null) continue
        seen = -1
        this.#world.note(`${process.name} ends: ${error._tag}`)
        this.#healthy("a projection", error, ["LogUnavailable", "ReadModelUnavailable", "CheckpointConflict"])
      }
    })
    this.#start(process, program, () => void this.#projectors.delete(process))
  }

  /** In a healthy world nothing fails but what was made to fail. */
  #healthy(
    what: string,
    error: { readonly _tag: string; readonly message: string },
    allowed: ReadonlyArray<string>,
  ): void {
    if (!allowed.includes(error._tag))
      this.#books.violations.push(`${what} fails in a healthy world: ${error._tag}: ${error.message}`)
  }

  #start(process: Process, program: Effect.Effect<void, never, Products>, onEnd: () => void = () => {}): void {
    this.#world.start(process, Effect.provide(program, productOf(this.#servers, process)), onEnd)
  }

  #write(jobs: ReadonlyArray<Job>): void {
    for (const job of jobs) this.#runAlone("operator", write(job))
  }

  /** Runs a program to its end as the only process there is. */
  #runAlone<A, E>(name: string, program: Effect.Effect<A, E, Products>): Exit.Exit<A, E> {
    const process = this.#world.process(name)
    const ended: Array<Exit.Exit<A, E>> = []
    this.#world.start(
      process,
      Effect.flatMap(Effect.exit(program), (exit) => Effect.sync(() => void ended.push(exit))).pipe(
        Effect.provide(productOf(this.#servers, process)),
      ),
    )
    while (ended.length === 0) {
      if (!this.#world.step()) throw new Error(`${name} can't go on: ${this.#world.waiting.join("; ")}`)
    }
    this.#world.kill(process)
    return ended[0]!
  }
}
