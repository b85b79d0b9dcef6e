import { Clock, Effect, Result } from "effect"
import { admit } from "../domain/event/admit.ts"
import type { Event } from "../domain/event/Event.ts"
import type { MetricDefinition } from "../domain/metric/definition.ts"
import { simulate, type SimulateOptions } from "../domain/simulate/simulate.ts"
import { TimeZone } from "../domain/time/TimeZone.ts"
import { readControl, recordDefinitions } from "./control.ts"
import { LogWriter } from "./LogWriter.ts"

/** The funnel of the simulated product: the sign-up flow that its visitors walk through. */
export const SIGNUP_FUNNEL: MetricDefinition = {
  name: "signup",
  version: 1,
  description: "From the sign-up page to an account",
  formula: {
    kind: "funnel",
    steps: [
      { name: "Page View", event: "page_view", where: [{ field: "properties.page_name", op: "eq", value: "signup" }] },
      {
        name: "Click Signup",
        event: "click",
        where: [{ field: "properties.element_id", op: "eq", value: "signup_button" }],
      },
      { name: "Submit Form", event: "submit", where: [{ field: "properties.form_name", op: "eq", value: "signup" }] },
      { name: "Sign Up", event: "sign_up" },
    ],
  },
}

const APPEND_EVENTS = 8000

/** Appends a simulated product's events to the log, and declares its funnel. Doing it again adds nothing. */
export const appendDemo = Effect.fn("appendDemo")(function* (
  options: SimulateOptions,
  onProgress: (events: number) => void,
) {
  const writer = yield* LogWriter
  const now = yield* Clock.currentTimeMillis
  let events: Array<Event> = []
  let appended = 0
  for (const raw of simulate(options)) {
    const door = { now, mode: "import", skew: "correct", zone: TimeZone.utc, fallbackId: () => raw.id } as const
    const admitted = admit(raw, door)
    if (Result.isSuccess(admitted)) events.push(admitted.success)
    if (events.length < APPEND_EVENTS) continue
    yield* writer.append(events)
    appended += events.length
    onProgress(appended)
    events = []
  }
  yield* writer.append(events)
  const control = yield* readControl
  if (!control.metrics.has(SIGNUP_FUNNEL.name)) yield* recordDefinitions([SIGNUP_FUNNEL])
  return appended + events.length
})
