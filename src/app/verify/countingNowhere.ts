import { type Event, isActivity } from "../../domain/event/Event.ts"

/** An event that says who is who, as it did, and nothing else. */
export const countingNowhere = (event: Event): Event => ({
  ...event,
  kind: isActivity(event.kind) ? "identify" : event.kind,
  name: "",
  // What an alias joins is in its body.
  body: event.kind === "alias" || event.kind === "unalias" ? event.body : {},
})
