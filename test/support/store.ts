import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Effect, ManagedRuntime } from "effect"
import { layerEmbedded } from "../../src/app/embedded.ts"
import { importEvents, type Imported, type ImportEventsOptions } from "../../src/app/importEvents.ts"
import { type Projected, Projector } from "../../src/app/projection/Projector.ts"
import type { Store } from "../../src/app/store.ts"
import { TimeZone } from "../../src/domain/time/TimeZone.ts"

/** A store in a temporary directory. Opening one takes seconds: share it among the tests of a file. */
export interface TestStore {
  readonly run: <A, E>(effect: Effect.Effect<A, E, Store>) => Promise<A>
  readonly import: (file: string, options?: Partial<ImportEventsOptions>) => Promise<Imported>
  readonly project: () => Promise<Projected>
  /** Writes a file beside the store, to import it. */
  readonly write: (name: string, lines: ReadonlyArray<string>) => Promise<string>
  /** Closes the store and removes its directory. */
  readonly close: () => Promise<void>
}

export const openStore = async (): Promise<TestStore> => {
  const directory = await mkdtemp(join(tmpdir(), "tidemark-store-"))
  const runtime = ManagedRuntime.make(layerEmbedded({ directory: join(directory, "store") }))
  const run: TestStore["run"] = (effect) => runtime.runPromise(effect)
  return {
    run,
    import: (file, options) =>
      run(importEvents(file, { format: "auto", map: {}, eventName: null, zone: TimeZone.utc, ...options })),
    project: () => run(Projector.use((projector) => projector.project())),
    write: async (name, lines) => {
      const file = join(directory, name)
      await writeFile(file, lines.map((line) => `${line}\n`).join(""))
      return file
    },
    close: async () => {
      await runtime.dispose()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
