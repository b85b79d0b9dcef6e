import { Effect, Exit } from "effect"
import { Projector } from "../../src/app/projection/Projector.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts"
import { accept } from "../support/accept.ts"
import { Books } from "./Books.ts"
import type { CallFaults } from "./faults.ts"
import { Flaws } from "./flaws.ts"
import { failureOf, productOf, type Products, write } from "./processes.ts"
import { SimulatedLog } from "./SimulatedLog.ts"
import { SimulatedReadModel } from "./SimulatedReadModel.ts"
import { type Process, World } from "./World.ts"

const PARTITIONS = 2

const at = (minute: number) => new Date(Date.parse("2024-05-01T10:00:00Z") + minute * 60_000).toISOString()

/** Two devices and three users, who turn out to be fewer; one event comes twice. */
const early: ReadonlyArray<Event> = [
  accept({ type: "track", event: "click", anonymousId: "d1", messageId: "1", timestamp: at(0) }),
  accept({ type: "track", event: "click", anonymousId: "d2", messageId: "2", timestamp: at(1) }),
  accept({ type: "track", event: "purchase", userId: "bob", messageId: "3", timestamp: at(2) }),
  accept({ type: "identify", userId: "ann", anonymousId: "d1", messageId: "4", timestamp: at(3) }),
  accept({ type: "track", event: "click", anonymousId: "d1", messageId: "1", timestamp: at(0) }),
  accept({ type: "track", event: "feature_used", userId: "cid", messageId: "5", timestamp: at(4) }),
]

const late: ReadonlyArray<Event> = [
  accept({ type: "alias", userId: "ann", previousId: "bob", messageId: "6", timestamp: at(5) }),
  accept({ type: "identify", userId: "cid", anonymousId: "d2", messageId: "7", timestamp: at(-5) }),
  accept({ type: "track", event: "purchase", userId: "ann", messageId: "8", timestamp: at(6) }),
]

const project = Effect.asVoid(Projector.use((projector) => projector.project()))

/** Append, project, apply a metric, project, alias, project. */
const STEPS: ReadonlyArray<Effect.Effect<void, { readonly _tag: string; readonly message: string }, Products>> = [
  write({ what: "settings", settings: { ...DEFAULT_SETTINGS, timeZone: "Europe/Berlin" } }),
  write({ what: "events", events: early }),
  project,
  write({
    what: "metrics",
    promote: "when-built",
    definitions: [{ name: "buyers", version: 1, filter: { events: ["purchase"] }, formula: { kind: "active-users" } }],
  }),
  project,
  write({ what: "events", events: late }),
  project,
]

/** What goes wrong in a play of the script. */
export interface Mishap {
  readonly writers: "many" | "one"
  readonly faults: CallFaults
  /** The step of the world at which the process is killed; null for never. */
  readonly killedAt: number | null
  /** Whether the operator goes on with another process after a failure. */
  readonly startsAnew: boolean
}

/** Plays the script; after a failure the operator does the same again. Gives what is wrong at the end. */
export const play = ({ writers, faults, killedAt, startsAnew }: Mishap) => {
  const world = new World(1)
  const books = new Books(PARTITIONS)
  const flaws = new Flaws()
  const log = new SimulatedLog(world, faults, { partitions: PARTITIONS, writers }, flaws)
  const readModel = new SimulatedReadModel(world, faults, flaws, books.hear)
  let failures = 0
  let next = 0
  let process: Process | null = null

  /** A process that does what is still to be done, and ends when something fails. */
  const start = (): Process => {
    const born = world.process("operator")
    const program = Effect.gen(function* () {
      while (next < STEPS.length) {
        const error = failureOf(yield* Effect.exit(STEPS[next]!))
        if (error === null) {
          next++
          continue
        }
        failures++
        if (failures > 1) books.violations.push(`it fails a second time: ${error._tag}: ${error.message}`)
        if (failures > 1 || startsAnew) return
      }
    })
    world.start(born, Effect.provide(program, productOf({ log, readModel }, born)), (exit) => {
      if (Exit.isFailure(exit)) books.violations.push(`it breaks: ${String(exit)}`)
      born.alive = false
    })
    return born
  }

  while (next < STEPS.length && books.violations.length === 0) {
    if (process === null || !process.alive) process = start()
    if (world.steps === killedAt) {
      world.kill(process)
      world.steps++
    } else if (process.alive && !world.step()) {
      books.violations.push(`it hangs: ${world.waiting.join("; ")}`)
    }
  }
  books.acknowledge([...early, ...late])
  books.checkQuiet(readModel.tables, log.records)
  books.checkCells(readModel.tables, log.records)
  const duplicates = readModel.tables.checkpoints.reduce(
    (sum, row) => sum + (row.checkpoint?.counts.duplicates ?? 0),
    0,
  )
  return { violations: books.violations, failures, duplicates, steps: world.steps }
}
