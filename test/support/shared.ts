import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** Where a file of the shared folder beside the checkout would be. */
export const sharedPath = (name: string): string => fileURLToPath(new URL(`../../../shared/${name}`, import.meta.url))

/** Whether a shared folder is there; says in one line that the tests which need it are skipped when it isn't. */
export const hasShared = (name: string): boolean => {
  const found = existsSync(sharedPath(name))
  if (!found) console.log(`skipped: ../shared/${name} is not there`)
  return found
}
