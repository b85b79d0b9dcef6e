import { Clock, Duration, Effect, type Exit, type Scheduler } from "effect"
import { Random } from "../../src/domain/simulate/random.ts"

/** A process that can be killed or frozen at any of its calls; what it remembers goes with it. */
export interface Process {
  readonly name: string
  alive: boolean
  /** Stopped, and it doesn't know: all it waits for waits until it is thawed. */
  frozen: boolean
  /** How far its clock is off, ms. */
  clockOffset: number
  /** How often it is chosen to go on, compared with the others. */
  readonly weight: number
  /** What the servers do when they find its connections closed. */
  readonly onDeath: Array<() => void>
}

/** A place where a process waits for the world to let it go on. */
interface Gate {
  readonly process: Process
  readonly label: string
  readonly ready: () => boolean
  readonly resume: () => void
  /** When a sleeper wakes, ms; null for what waits for something else. */
  readonly wakesAt: number | null
}

const ALWAYS = (): boolean => true

/**
 * Everything that runs, one thing at a time: a fiber runs until it waits at a gate (every call of a port is one), and the
 * seed says which goes on next. No promise, timer or real clock takes part, so the seed alone decides what happens.
 */
export class World {
  readonly random: Random
  /** What was decided, in order. */
  readonly trace: Array<string> = []
  /** Real time, which no process knows exactly, ms. */
  now = Date.parse("2024-06-01T12:00:00Z")
  steps = 0
  #tasks: Array<() => void> = []
  #gates: Array<Gate> = []

  readonly #scheduler: Scheduler.Scheduler = {
    executionMode: "sync",
    shouldYield: () => false,
    makeDispatcher: () => ({
      scheduleTask: (task) => void this.#tasks.push(task),
      flush: () => this.#drain(),
    }),
  }

  constructor(seed: number) {
    this.random = new Random(seed)
  }

  note(decision: string): void {
    this.trace.push(decision)
  }

  process(name: string, weight = 1): Process {
    return { name, alive: true, frozen: false, clockOffset: 0, weight, onDeath: [] }
  }

  /** Starts a program as a process; `onEnd` is called when it ends by itself. */
  start<A, E>(process: Process, program: Effect.Effect<A, E>, onEnd: (exit: Exit.Exit<A, E>) => void = () => {}): void {
    const fiber = Effect.runFork(Effect.provideService(program, Clock.Clock, this.#clockOf(process)), {
      scheduler: this.#scheduler,
    })
    fiber.addObserver(onEnd)
  }

  /** Waits until the world lets the process go on, and until something holds. */
  gate(
    process: Process,
    label: string,
    ready: () => boolean = ALWAYS,
    wakesAt: number | null = null,
  ): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      // Whoever is dead asks nothing any more.
      if (!process.alive) return
      const gate: Gate = { process, label, ready, resume: () => resume(Effect.void), wakesAt }
      this.#gates.push(gate)
      return Effect.sync(() => {
        this.#gates = this.#gates.filter((other) => other !== gate)
      })
    })
  }

  /** Ends a process where it is, with nothing tidied up. */
  kill(process: Process): void {
    process.alive = false
    this.#gates = this.#gates.filter((gate) => gate.process !== process)
    for (const clean of process.onDeath.splice(0)) clean()
  }

  /** Lets one process make one step. `false` when none can go on. */
  step(): boolean {
    this.#drain()
    const thawed = this.#gates.filter(({ process }) => !process.frozen)
    let ready = thawed.filter(({ ready }) => ready())
    if (ready.length === 0) {
      // Only sleepers are left: the clock goes on to the first that wakes.
      const wakes = thawed.flatMap(({ wakesAt }) => (wakesAt === null ? [] : [wakesAt]))
      if (wakes.length === 0) return false
      this.now = Math.min(...wakes)
      ready = thawed.filter(({ ready }) => ready())
    }
    let left = this.random.unit() * ready.reduce((sum, { process }) => sum + process.weight, 0)
    const gate = ready.find(({ process }) => (left -= process.weight) < 0) ?? ready[ready.length - 1]!
    this.#gates = this.#gates.filter((other) => other !== gate)
    this.now += this.random.between(0, 20)
    this.steps++
    this.note(`${gate.process.name} ${gate.label}`)
    gate.resume()
    this.#drain()
    return true
  }

  /** What every process waits for. */
  get waiting(): ReadonlyArray<string> {
    return this.#gates.map(({ process, label }) => `${process.name} ${label}${process.frozen ? " (frozen)" : ""}`)
  }

  #drain(): void {
    while (this.#tasks.length > 0) {
      const tasks = this.#tasks
      this.#tasks = []
      for (const task of tasks) task()
    }
  }

  #clockOf(process: Process): Clock.Clock {
    const millis = () => this.now + process.clockOffset
    const nanos = () => BigInt(millis()) * 1_000_000n
    /** Doesn't jump with the time of day. */
    const monotonic = () => BigInt(this.now) * 1_000_000n
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) => {
        const until = this.now + Duration.toMillis(duration)
        return this.gate(process, "sleep", () => this.now >= until, until)
      },
    }
  }
}

/** A world without a seed, that lets everybody go on as soon as he can: for stories that are told step by step. */
export class OpenWorld extends World {
  constructor() {
    super(1)
  }

  override gate(process: Process, label: string, ready: () => boolean = ALWAYS): Effect.Effect<void> {
    return Effect.suspend(() =>
      ready() ? Effect.void : Effect.andThen(Effect.yieldNow, this.gate(process, label, ready)),
    )
  }
}
