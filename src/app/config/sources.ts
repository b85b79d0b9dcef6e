import { readFileSync } from "node:fs"
import { Effect } from "effect"
import { parseDocument } from "yaml"
import { nearest } from "../../domain/nearest.ts"
import { BadConfiguration } from "./errors.ts"
import { ENVIRONMENT_PREFIX, isKey, type Key, KEY_NAMES, nameInEnvironment } from "./keys.ts"

/** Looked for in the working directory when no other file is named. */
export const DEFAULT_FILE = "tidemark.config.yaml"

/** Names the configuration file. */
export const FILE_VARIABLE = `${ENVIRONMENT_PREFIX}CONFIG`

/** A value as it was given, and where. */
export interface Given {
  readonly text: string
  /** For messages; they say where a value stands and never what it is, since it may be a secret. */
  readonly place: string
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Variables that Kubernetes sets in every container for a service called `tidemark` or `tidemark-…`. */
const SERVICE_LINK = /_SERVICE_(HOST|PORT)|(^|_)PORT(_\d+_(TCP|UDP)|$)/

/**
 * What the environment gives. A variable that looks like one of ours and is none is a slip, which would go unnoticed; one
 * that looks like nothing of ours is somebody else's. An empty one counts as not given.
 */
export const readEnvironment = Effect.fnUntraced(function* (environment: Environment) {
  const given = new Map<Key, Given>()
  const names = new Map(KEY_NAMES.map((key) => [nameInEnvironment(key), key]))
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(ENVIRONMENT_PREFIX) || text === undefined || text === "" || name === FILE_VARIABLE) continue
    const key = names.get(name)
    if (key !== undefined) {
      given.set(key, { text, place: name })
      continue
    }
    const rest = name.slice(ENVIRONMENT_PREFIX.length)
    if (SERVICE_LINK.test(rest)) continue
    const meant = nearest(
      rest,
      [...names.keys(), FILE_VARIABLE].map((known) => known.slice(ENVIRONMENT_PREFIX.length)),
    )
    if (meant !== null) {
      const problem = `is no variable of Tidemark; did you mean ${ENVIRONMENT_PREFIX}${meant}?`
      return yield* new BadConfiguration({ place: name, problem: problem.slice(0, -1) })
    }
  }
  return given
})

/** What a file gives; `null` for the default file, which need not be there. */
export const readConfigurationFile = Effect.fnUntraced(function* (named: string | null) {
  const file = named ?? DEFAULT_FILE
  const given = new Map<Key, Given>()
  const content = yield* Effect.try({ try: () => readFileSync(file, "utf8"), catch: codeOf }).pipe(
    Effect.catch((code) =>
      named === null && code === "ENOENT"
        ? Effect.succeed("")
        : new BadConfiguration({
            place: `the file ${file}`,
            problem: code === "ENOENT" ? "is not there" : `can't be read (${code})`,
          }),
    ),
  )
  const document = parseDocument(content)
  const [error] = document.errors
  if (error !== undefined) {
    // Without the parser's own words, which repeat the line, and with it a secret perhaps.
    const line = error.linePos?.[0].line
    return yield* new BadConfiguration({ place: `line ${line} of ${file}`, problem: `is not YAML (${error.code})` })
  }
  yield* readLevel(document.toJS({ maxAliasCount: 100 }) as unknown, [], file, given)
  return given
})

/** Takes in one mapping of the file, and those below it. */
const readLevel = (
  value: unknown,
  path: ReadonlyArray<string>,
  file: string,
  given: Map<Key, Given>,
): Effect.Effect<void, BadConfiguration> =>
  Effect.gen(function* () {
    if (value === null || value === undefined) return
    const here = path.length === 0 ? `the file ${file}` : `${path.join(".")} in ${file}`
    if (typeof value !== "object" || Array.isArray(value)) {
      return yield* new BadConfiguration({ place: here, problem: "must be keys with values" })
    }
    for (const [name, inner] of Object.entries(value)) {
      const key = [...path, name].join(".")
      const place = `${key} in ${file}`
      if (isKey(key)) {
        if (inner === null) continue
        if (typeof inner !== "string" && typeof inner !== "number") {
          return yield* new BadConfiguration({ place, problem: "must be one text or number" })
        }
        given.set(key, { text: String(inner), place })
      } else if (KEY_NAMES.some((known) => known.startsWith(`${key}.`))) {
        yield* readLevel(inner, [...path, name], file, given)
      } else {
        const meant = nearest(key, KEY_NAMES)
        const hint = meant === null ? `the keys are ${KEY_NAMES.join(", ")}` : `did you mean ${meant}`
        return yield* new BadConfiguration({ place, problem: `is no key of Tidemark; ${hint}` })
      }
    }
  })

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : String(cause)
