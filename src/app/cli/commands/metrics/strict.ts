import { Flag } from "effect/cli"

export const strict = Flag.Boolean("strict").pipe(
  Flag.withDescription("Take warnings, such as events that were never seen, for problems"),
  Flag.withDefault(false),
)
