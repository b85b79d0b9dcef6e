/**
 * All static checks, one after another; each prints how to mend what it finds. Ends with status 1 if any failed.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const CHECKS: ReadonlyArray<{
  readonly name: string
  readonly command: ReadonlyArray<string>
  readonly remedy: string
}> = [
  {
    name: "format",
    command: ["oxfmt", "--check", "src", "test", "bench", "scripts", "examples"],
    remedy: "npm run format",
  },
  {
    name: "lint and layers",
    command: ["oxlint", "--type-aware", "src", "test", "bench", "scripts", "examples"],
    remedy: "the message of each finding says what to do",
  },
  { name: "types", command: ["tsc", "--project", "tsconfig.json"], remedy: "mend the types" },
  {
    name: "Effect",
    // An empty language-service configuration turns its rules on; without one it checks nothing and passes.
    command: [
      "effect-tsgo",
      "diagnostics",
      "--project",
      "tsconfig.json",
      "--lspconfig",
      "{}",
      "--strict",
      "--format",
      "text",
    ],
    remedy: "follow the named Effect rule",
  },
  { name: "unused code", command: ["knip", "--no-progress"], remedy: "delete what is unused, or use it" },
  { name: "build", command: ["tsc", "--project", "tsconfig.build.json"], remedy: "mend the types" },
]

const run = (command: ReadonlyArray<string>, directory = process.cwd()): boolean => {
  const [program, ...rest] = command
  const { status, stdout, stderr, error } = spawnSync(program!, rest, { cwd: directory, encoding: "utf8" })
  if (status !== 0) process.stdout.write(`${stdout}${stderr}${error === undefined ? "" : `${error.message}\n`}`)
  return status === 0
}

let failed = 0
const report = (name: string, passes: boolean, remedy: string): void => {
  if (!passes) failed++
  console.log(passes ? `check ${name}: passed` : `check ${name}: FAILED; ${remedy}`)
}

for (const { name, command, remedy } of CHECKS) report(name, run(command), remedy)

// The package as users get it: packed, then looked at from outside.
const directory = mkdtempSync(join(tmpdir(), "tidemark-pack-"))
try {
  const packed = spawnSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", directory], {
    encoding: "utf8",
  })
  const tarball = join(directory, packed.stdout.trim().split("\n").pop() ?? "")
  report("package (publint)", run(["publint", tarball, "--strict"]), "mend package.json")
  report("package types (attw)", run(["attw", tarball, "--profile", "esm-only"]), "mend the exports of package.json")
} finally {
  rmSync(directory, { recursive: true, force: true })
}

console.log(`${failed === 0 ? "All" : "Not all"} checks passed.`)
process.exitCode = failed === 0 ? 0 : 1
