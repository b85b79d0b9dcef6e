import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** Format → version → golden file → its SHA-256: what `test/golden/shipped.json` says was ever written to a log. */
export type Shipped = Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>>

/** The directory of the golden files. */
export const GOLDEN = join(import.meta.dirname, "../golden")

const MANIFEST = "shipped.json"

export const readShipped = (): Shipped => JSON.parse(readFileSync(join(GOLDEN, MANIFEST), "utf8")) as Shipped

/** The golden files that there are, with the SHA-256 of each. */
export const hashGoldenFiles = (): ReadonlyMap<string, string> =>
  new Map(
    readdirSync(GOLDEN)
      .filter((name) => name !== MANIFEST)
      .map((name) => [
        name,
        createHash("sha256")
          .update(readFileSync(join(GOLDEN, name)))
          .digest("hex"),
      ]),
  )

const entriesOf = (shipped: Shipped) =>
  Object.entries(shipped).flatMap(([format, versions]) =>
    Object.entries(versions).flatMap(([version, files]) =>
      Object.entries(files).map(([file, hash]) => ({ format, version, file, hash })),
    ),
  )

/** What is wrong with the golden files, a sentence each. `readable`: the versions that today's code reads, by format. */
export const faultsOf = (
  shipped: Shipped,
  files: ReadonlyMap<string, string>,
  readable: Readonly<Record<string, ReadonlyArray<number>>>,
): ReadonlyArray<string> => {
  const entries = entriesOf(shipped)
  const listed = new Set(entries.map(({ file }) => file))
  return [
    ...entries
      .filter(({ file, hash }) => files.get(file) !== hash)
      .map(({ file }) => `${file} is ${files.has(file) ? "not what it was when it was listed" : "gone"}: put it back.`),
    ...[...files.keys()].filter((file) => !listed.has(file)).map((file) => `${file} is not listed in ${MANIFEST}.`),
    ...Object.entries(shipped).flatMap(([format, versions]) =>
      Object.keys(versions)
        .filter((version) => readable[format]?.includes(Number(version)) !== true)
        .map((version) => `Nothing reads version ${version} of ${format} any more: put its decoder back.`),
    ),
    ...Object.entries(readable).flatMap(([format, versions]) =>
      versions
        .filter((version) => !entries.some((entry) => entry.format === format && Number(entry.version) === version))
        .map((version) => `Version ${version} of ${format} has no golden file in ${MANIFEST}.`),
    ),
  ]
}

/** What an earlier manifest lists and today's does not, or with another hash. */
export const lostSince = (earlier: Shipped, today: Shipped): ReadonlyArray<string> =>
  entriesOf(earlier)
    .filter(({ format, version, file, hash }) => today[format]?.[version]?.[file] !== hash)
    .map(({ format, version, file }) => `${file} (version ${version} of ${format}) was listed in ${MANIFEST}.`)

const git = (...args: ReadonlyArray<string>): string =>
  execFileSync("git", ["-C", GOLDEN, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })

/** Whether the commit that is checked out has the manifest. Not so in an unpacked package, or where there is no git. */
const isCommitted = (): boolean => {
  try {
    return git("ls-tree", "HEAD", "--", MANIFEST) !== ""
  } catch {
    return false
  }
}

/** The manifest as every commit left it; `null` where there is no history of it. */
export const shippedInHistory = (): ReadonlyArray<{ readonly commit: string; readonly shipped: Shipped }> | null =>
  isCommitted()
    ? git("log", "--full-history", "--diff-filter=AM", "--format=%H", "--", MANIFEST)
        .trim()
        .split("\n")
        .map((commit) => ({ commit, shipped: JSON.parse(git("show", `${commit}:./${MANIFEST}`)) as Shipped }))
    : null
