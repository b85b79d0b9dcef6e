import type { MeasureVersion } from "./ReadModel.ts"

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

/** The name of a build; the first of a version goes by the version alone. */
export const buildName = ({
  definition: { name, version },
  build,
}: Pick<MeasureVersion, "definition" | "build">): string =>
  build === 1 ? `${name}@${version}` : `${name}@${version}.${build}`

/** Whether a build may be meant. */
export const isNamed = ({ definition, build }: MeasureVersion, name: BuildName): boolean =>
  definition.name === name.metric &&
  (name.version === null || definition.version === name.version) &&
  (name.build === null || build === name.build)
