import { type Finding, ok, warning } from "./Finding.ts"

/** A clock that is further off than this is wrong; less is what networks and clocks do. */
const TOLERANCE_MILLIS = 2000

/** What the difference between a server's clock and this machine's means; half of the way there and back is uncertain. */
export const clockFinding = (server: string, skewMillis: number | null, roundTripMillis: number): Finding => {
  const check = `clock of ${server}`
  if (skewMillis === null) return ok(check, "it does not tell the time")
  const apart = `${Math.abs(Math.round(skewMillis))} ms ${skewMillis < 0 ? "behind" : "ahead of"} this machine's (± ${Math.ceil(roundTripMillis / 2)} ms)`
  return Math.abs(skewMillis) - roundTripMillis / 2 > TOLERANCE_MILLIS
    ? warning(
        check,
        `${apart}: no number depends on it, but lag in seconds is wrong by it, and events without a time of their own are dated wrong on one of the two. Run an NTP client on both`,
      )
    : ok(check, apart)
}
