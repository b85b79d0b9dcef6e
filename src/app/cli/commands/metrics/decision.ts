import { flag, optionalText } from "../../options.ts"

/** What those who decide about versions may say with it. */
export const why = optionalText("why", "Why, for those who read the history later")

export const accept = flag("accept", "Promote also what differs although it was expected to be the same")
