import { type EventKind, NAME_OF_KIND } from "../../../src/domain/event/Event.ts"

/** Names of events: few, so that histories and metrics meet. */

export const TRACK_NAMES = ["click", "feature_used", "purchase", "page_view", "sign_up", "identify", "constructor"]
/** Funnels are made of these, so histories are mostly too. */
export const STEP_NAMES = ["click", "feature_used", "purchase", "page_view"]

export const nameOf = (kind: EventKind, trackName: string): string =>
  kind in NAME_OF_KIND ? NAME_OF_KIND[kind as keyof typeof NAME_OF_KIND] : trackName
