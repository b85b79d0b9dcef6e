import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { layerPglite } from "../../src/infra/embedded/PgliteClient.ts"
import { readModelContract } from "./readModel.ts"

const directory = mkdtempSync(join(tmpdir(), "tidemark-read-model-"))

// Registered before the contract's own, so it runs after them.
afterAll(() => rmSync(directory, { recursive: true, force: true }))

readModelContract("PGlite", () => layerPglite(join(directory, "postgres")))
