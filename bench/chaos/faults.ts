import type { Random } from "../../src/domain/simulate/random.ts"

/** Who can be hit, and how. Times are in ms. */
export type Fault =
  | { readonly kind: "kill" | "freeze"; readonly target: Target; readonly millis: number }
  | { readonly kind: "drop"; readonly target: Link; readonly millis: 0 }
  | { readonly kind: "stall"; readonly target: Link; readonly millis: number }
  /** The next COMMIT does not arrive, or its answer does not. */
  | { readonly kind: "lose a commit" | "lose the answer to a commit"; readonly target: Link; readonly millis: 0 }

/** A process: `worker 0`, `nats 2`, `postgres`, `writer`. */
export type Target = `worker ${number}` | `nats ${number}` | "postgres" | "writer"

/** The connections of a process to the servers of one kind: `worker 0 to postgres`. */
export type Link = `worker ${number} to ${"nats" | "postgres"}` | "writer to nats"

/** Faults that begin at the same moment, and how long it is quiet before them. */
export interface Turn {
  readonly pauseMillis: number
  /** Whether everything is let recover before and after, so that a recovery can be told from others. */
  readonly alone: boolean
  readonly faults: ReadonlyArray<Fault>
}

export const WORKERS = 3
export const NATS_NODES = 3

/** Longer than a worker that gives no sign of life keeps its partitions. */
const OUTLIVES_A_LEASE = { from: 10_000, to: 13_000 }

/** How often two faults come at once. */
const TWO_AT_ONCE = 0.25

/** How often one comes alone. */
const ALONE = 0.25

/** The next turn; the same for the same seed, whatever becomes of the turns before. */
export const nextTurn = (random: Random): Turn => {
  const pauseMillis = random.between(200, 2000)
  const first = nextFault(random)
  const number = random.unit()
  if (number >= TWO_AT_ONCE) return { pauseMillis, alone: number >= 1 - ALONE, faults: [first] }
  let second = nextFault(random)
  while (victimOf(second) === victimOf(first)) second = nextFault(random)
  return { pauseMillis, alone: false, faults: [first, second] }
}

const nextFault = (random: Random): Fault => {
  const worker = `worker ${random.between(0, WORKERS - 1)}` as const
  const node = `nats ${random.between(0, NATS_NODES - 1)}` as const
  const short = random.between(300, 3000)
  const server = random.oneOf(["nats", "postgres"] as const)
  // The writer has no read model.
  const link: Link = random.chance(0.2) ? "writer to nats" : `${worker} to ${server}`
  const kind = random.oneOf(KINDS)
  switch (kind) {
    case "kill worker":
      return { kind: "kill", target: worker, millis: short }
    case "freeze worker":
      return { kind: "freeze", target: worker, millis: short }
    case "freeze worker for long":
      return { kind: "freeze", target: worker, millis: random.between(OUTLIVES_A_LEASE.from, OUTLIVES_A_LEASE.to) }
    case "kill nats":
      return { kind: "kill", target: node, millis: short }
    case "freeze nats":
      return { kind: "freeze", target: node, millis: short }
    case "kill postgres":
      return { kind: "kill", target: "postgres", millis: short }
    case "freeze postgres":
      return { kind: "freeze", target: "postgres", millis: short }
    case "kill writer":
      return { kind: "kill", target: "writer", millis: 0 }
    case "drop":
      return { kind: "drop", target: link, millis: 0 }
    case "lose a commit":
    case "lose the answer to a commit":
      return { kind, target: `${worker} to postgres`, millis: 0 }
    case "stall":
      return { kind: "stall", target: link, millis: short }
  }
}

/** As often as they stand here. */
const KINDS = [
  "kill worker",
  "kill worker",
  "kill worker",
  "freeze worker",
  "freeze worker",
  "freeze worker for long",
  "kill nats",
  "kill nats",
  "freeze nats",
  "kill postgres",
  "kill postgres",
  "freeze postgres",
  "kill writer",
  "drop",
  "drop",
  "lose a commit",
  "lose the answer to a commit",
  "lose the answer to a commit",
  "stall",
  "stall",
] as const

/** The process that a fault hits or cuts off: one fault at a time. */
export const victimOf = ({ target }: Fault): string => target.replace(/ to .*/, "")

export const nameOf = ({ kind, target }: Fault): string => `${kind} ${target}`
