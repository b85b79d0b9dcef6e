import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { layerPglite } from "../../src/infra/embedded/PgliteClient.ts"
import { bulkCopyContract } from "./bulkCopy.ts"
import { sqlValuesContract } from "./sqlValues.ts"

const directory = mkdtempSync(join(tmpdir(), "tidemark-bulk-copy-"))

// Registered before the contract's own, so it runs after them.
afterAll(() => rmSync(directory, { recursive: true, force: true }))

bulkCopyContract("PGlite", () => layerPglite(join(directory, "postgres")))
sqlValuesContract("PGlite", () => layerPglite(join(directory, "values")))
