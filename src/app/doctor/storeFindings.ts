import { Clock, Effect, Result } from "effect"
import { formatInstant } from "../../domain/time/instant.ts"
import { provePositions } from "../provePosition.ts"
import type { Status } from "../status/status.ts"
import { failure, type Finding, ok, warning } from "./Finding.ts"

/** A log time further ahead of this clock than this says that a clock is wrong. */
const CLOCK_TOLERANCE_MILLIS = 5 * 60_000

/** Whether the read model stands where it says. */
export const positionsFinding = Effect.map(Effect.result(provePositions), (proven): Finding =>
  Result.isFailure(proven)
    ? failure("positions", proven.failure.message)
    : ok("positions", "the log holds what the read model was made from"),
)

/** Whether the read model is up to date, and the log's writers had their clocks right. */
export const readModelFindings = Effect.fnUntraced(function* ({ partitions }: Status, remedy: string) {
  const now = yield* Clock.currentTimeMillis
  return partitions.flatMap(({ partition, lag, projected, asOf }): ReadonlyArray<Finding> => {
    const name = `read model, partition ${partition}`
    const behind =
      lag > 0
        ? warning(name, `${lag} events are in the log and not in the numbers; ${remedy}`)
        : ok(name, `all ${projected} events that count are projected`)
    if (asOf === null || Date.parse(asOf) <= now + CLOCK_TOLERANCE_MILLIS) return [behind]
    const found = `the log was written at ${asOf}, and this machine says ${formatInstant(now)}; set the clock, or new events are dated wrong`
    return [behind, warning("clock", found)]
  })
})

/** Whether anything waits to be looked at. */
export const quarantineFinding = ({ quarantine }: Status): Finding => {
  const waiting = Object.values(quarantine.lines).reduce((sum, lines) => sum + (lines ?? 0), 0) + quarantine.failures
  return waiting === 0
    ? ok("quarantine", "empty")
    : warning(
        "quarantine",
        `${waiting} lines wait; "tidemark quarantine list" says why, "replay" tries again, "drop" forgets them`,
      )
}
