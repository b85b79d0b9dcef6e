import { withProvenStore } from "./options.ts"
import { showingReplay } from "./projecting.ts"

/** Asks a proven store, and shows how far a replay is that the answer has to wait for. */
export const asking: typeof withProvenStore = (question) => withProvenStore(showingReplay(question))
