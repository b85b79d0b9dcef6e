import { Result } from "effect"
import { admit, type Door } from "../../src/domain/event/admit.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import type { JsonObject } from "../../src/domain/event/json.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"

let ids = 0

/** Lets a raw event in, as an import in the year 2100 would; one that is turned away throws. */
export const accept = (raw: JsonObject, door: Partial<Door> = {}): Event =>
  Result.getOrThrow(
    admit(raw, {
      now: Date.parse("2100-01-01T00:00:00Z"),
      mode: "import",
      skew: "correct",
      zone: TimeZone.utc,
      fallbackId: () => `accepted-${ids++}`,
      ...door,
    }),
  )
