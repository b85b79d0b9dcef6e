import { readdirSync, statSync } from "node:fs"
import { extname, join } from "node:path"
import { Result } from "effect"

const MODULES: ReadonlySet<string> = new Set([".ts", ".mts", ".js", ".mjs"])
const YAML: ReadonlySet<string> = new Set([".yaml", ".yml"])

/** Whether a file of definitions is a program, whose default export they are. */
export const isModule = (file: string): boolean => MODULES.has(extname(file))

const isDefinitionFile = (name: string): boolean =>
  !name.endsWith(".d.ts") && (MODULES.has(extname(name)) || YAML.has(extname(name)))

/** The files that a path stands for: itself, or the definition files in a directory, but not below it. */
export const definitionFiles = (path: string): Result.Result<ReadonlyArray<string>, string> => {
  try {
    if (!statSync(path).isDirectory()) return Result.succeed([path])
    const names = readdirSync(path, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && isDefinitionFile(entry.name))
      .map(({ name }) => name)
      .sort()
    return names.length === 0
      ? Result.fail(`it holds no definition files (${[...YAML, ...MODULES].join(" ")}).`)
      : Result.succeed(names.map((name) => join(path, name)))
  } catch (cause) {
    return Result.fail(`it can't be read (${cause instanceof Error ? cause.message : String(cause)}).`)
  }
}
