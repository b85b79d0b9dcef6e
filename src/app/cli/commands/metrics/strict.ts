import { flag } from "../../options.ts"

export const strict = flag("strict", "Take warnings, such as events that were never seen, for problems")
