import type { Build } from "./ReadModel.ts"

/** A build of a metric as people name it: `signups`, `signups@2` or `signups@2.3`, the third build of its version 2. */
export interface BuildName {
  readonly metric: string
  /** `null` where it is left open. */
  readonly version: number | null
  readonly build: number | null
}

const NAME = /^([a-z][a-z0-9_]*)(?:@(\d{1,9})(?:\.(\d{1,9}))?)?$/

/** Reads the name of a build; `undefined` when it is none. */
export const parseBuildName = (text: string): BuildName | undefined => {
  const [, metric, version, build] = NAME.exec(text) ?? []
  if (metric === undefined) return undefined
  return { metric, version: numberOf(version), build: numberOf(build) }
}

const numberOf = (digits: string | undefined): number | null => (digits === undefined ? null : Number(digits))

/** A version of a metric. */
interface Version {
  readonly name: string
  readonly version: number
}

/** The name of a version, such as `signups@2`. */
export const versionName = ({ name, version }: Version): string => `${name}@${version}`

/** The name of a build; the first of a version goes by the version alone. */
export const buildName = ({ definition, build }: { readonly definition: Version; readonly build: number }): string =>
  build === 1 ? versionName(definition) : `${versionName(definition)}.${build}`

/** Whether a build may be meant. */
export const isNamed = ({ definition, build }: Build, name: BuildName): boolean =>
  definition.name === name.metric &&
  (name.version === null || definition.version === name.version) &&
  (name.build === null || build === name.build)

/** Compares builds of one metric: the later version is the greater, then the later build of it. Ids say nothing of that. */
export const byVersion = (a: Pick<Build, "definition" | "build">, b: Pick<Build, "definition" | "build">): number =>
  a.definition.version - b.definition.version || a.build - b.build
