import { Result } from "effect"
import { admit } from "../src/domain/event/admit.ts"
import type { Event } from "../src/domain/event/Event.ts"
import { simulate } from "../src/domain/simulate/simulate.ts"
import { TimeZone } from "../src/domain/time/TimeZone.ts"

/** Events of the simulated product that one user makes in 30 days, on average. */
const EVENTS_PER_USER = 20

/** A fixed moment after the simulated days, so that every run admits the same. */
const NOW = Date.UTC(2026, 5, 1)

/** About as many simulated events as asked for, admitted; the same every time. */
export function* simulatedEvents(count: number): Generator<Event> {
  for (const raw of simulate({ users: Math.ceil(count / EVENTS_PER_USER), days: 30, seed: 1 })) {
    const door = { now: NOW, mode: "import", skew: "correct", zone: TimeZone.utc, fallbackId: () => raw.id } as const
    const admitted = admit(raw, door)
    if (Result.isSuccess(admitted)) yield admitted.success
  }
}
