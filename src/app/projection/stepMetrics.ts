import { Metric } from "effect"

/** How much one step takes on: many small ones say that the worker keeps up, large ones that it catches up. */
export const stepEvents = Metric.histogram("tidemark_step_events", {
  description: "Events that one committed step took in, repeats included.",
  boundaries: [1, 10, 100, 1000, 10_000, 50_000, 100_000, 250_000],
})
