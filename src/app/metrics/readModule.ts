import { statSync } from "node:fs"
import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { Effect } from "effect"
import type { ReadProblem, ReadValue } from "./readYaml.ts"

/** Runs a file as a program of this Node, which strips types, and takes its default export. */
export const readModule = (file: string): Effect.Effect<ReadValue, ReadProblem> =>
  Effect.gen(function* () {
    const fail = (problem: string): ReadProblem => ({ line: null, problem })
    const module = yield* Effect.tryPromise({
      try: () => {
        const url = pathToFileURL(resolve(file))
        // A file that was edited since it was imported by this process is another module.
        url.searchParams.set("edited", String(statSync(file).mtimeMs))
        return import(url.href) as Promise<{ readonly default?: unknown }>
      },
      catch: (cause) =>
        fail(`it can't be imported: ${(cause instanceof Error ? cause.message : String(cause)).split("\n")[0]}`),
    })
    if (module.default === undefined) {
      return yield* Effect.fail(
        fail("it has no default export; write `export default defineMetric({ … })`, or a list of them."),
      )
    }
    return { value: module.default, lineOf: () => null }
  })
