import type { EventKind } from "../../domain/event/Event.ts"
import type { Json } from "../../domain/event/json.ts"

const IDENTITY_CALLS = ["identify", "alias", "group", "unalias"] as const satisfies ReadonlyArray<EventKind>

/**
 * The kind that an event's name stands for in files that have no field for the kind. Only identity calls do;
 * `page_view` and `screen_view` stay tracked events of that name.
 */
export const identityKindOf = (name: Json | undefined): (typeof IDENTITY_CALLS)[number] | undefined =>
  IDENTITY_CALLS.find((kind) => kind === name)
