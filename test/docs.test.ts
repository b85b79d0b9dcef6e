import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, describe, expect, test } from "vitest"
import { helpOf } from "./support/help.ts"

/** Documents are part of the product: their code is run, their commands are parsed, their links are followed. */

const ROOT = resolve(import.meta.dirname, "..")
const LIBRARY = pathToFileURL(join(ROOT, "src/index.ts")).href

const read = (path: string): string => readFileSync(join(ROOT, path), "utf8")

const markdownBelow = (directory: string): ReadonlyArray<string> =>
  readdirSync(join(ROOT, directory), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md"))
    .map((path) => join(directory, path))
    .sort()

const DECISIONS = markdownBelow("docs/decisions").filter((path) => /\/\d{4}-[^/]+\.md$/.test(path))
const DOCUMENTS = ["README.md", "CHANGELOG.md", ...markdownBelow("docs")]

/** The contents of fenced blocks in one language. */
const blocks = (document: string, language: string): ReadonlyArray<string> =>
  [...document.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map((match) => match[1]!)

const withoutBlocks = (document: string): string => document.replaceAll(/^```[\s\S]*?^```$/gm, "")

const directories: Array<string> = []
const temporaryDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-docs-"))
  directories.push(directory)
  return directory
}
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

/** Runs this Node; fails with what it printed unless it exits 0. */
const node = (args: ReadonlyArray<string>, cwd: string): Promise<string> =>
  new Promise((done, fail) => {
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...args], { cwd })
    let output = ""
    let errors = ""
    child.stdout.on("data", (text) => (output += String(text)))
    child.stderr.on("data", (text) => (errors += String(text)))
    child.on("error", fail)
    child.on("close", (code) =>
      code === 0 ? done(output) : fail(new Error(`node ${args.join(" ")} exited ${code}:\n${output}${errors}`)),
    )
  })

describe("code in documents", () => {
  const example = read("examples/quickstart.ts")
  const inReadme = example.replace(`from "../src/index.ts"`, `from "tidemark"`)

  test("the README shows examples/quickstart.ts, apart from the import line", () => {
    expect(inReadme).not.toBe(example)
    expect(blocks(read("README.md"), "ts")).toContain(inReadme)
  })

  test("examples/quickstart.ts prints what the README says", { timeout: 120_000 }, async () => {
    const output = await node([join(ROOT, "examples/quickstart.ts"), join(temporaryDirectory(), "store")], ROOT)
    expect(output.split("\n").slice(0, 4)).toEqual([
      "2026-03-02: 2 persons, 3 events",
      "2026-03-03: 0 persons, 0 events",
      "2026-03-04: 1 persons, 2 events",
      "in all: 2 persons",
    ])
    expect(blocks(read("README.md"), "text")).toContain(output)
  })

  const programs = DOCUMENTS.flatMap((path) =>
    blocks(read(path), "ts")
      .filter((code) => code.includes(`from "tidemark"`) && code !== inReadme)
      .map((code) => ({ path, code })),
  )
  test.each(programs)("the program in $path runs", { timeout: 120_000 }, async ({ path, code }) => {
    const directory = temporaryDirectory()
    const file = join(directory, "program.mts")
    writeFileSync(file, code.replace(`from "tidemark"`, `from ${JSON.stringify(LIBRARY)}`))
    const output = await node([file], directory)
    expect(output).toBe(path === "README.md" ? "1\n" : "[ 'export' ]\n")
  })

  test("JSON in documents is JSON", () => {
    for (const path of DOCUMENTS) {
      for (const block of blocks(read(path), "json")) {
        // Several events stand one a line; everything else is one value.
        const values = block.startsWith('{"') ? block.trim().split("\n") : [block]
        for (const value of values) expect(() => JSON.parse(value) as unknown, `${path}: ${value}`).not.toThrow()
      }
    }
  })
})

describe("links", () => {
  /** Anchors as GitHub makes them of headings. */
  const anchorsOf = (path: string): ReadonlySet<string> =>
    new Set(
      [...withoutBlocks(read(path)).matchAll(/^#+ (.+)$/gm)].map((match) =>
        match[1]!
          .toLowerCase()
          .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
          .replaceAll(" ", "-"),
      ),
    )

  test.each(DOCUMENTS)("all relative links of %s lead somewhere", (path) => {
    const broken: Array<string> = []
    for (const [, target] of withoutBlocks(read(path)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue
      const [file, anchor] = target!.split("#") as [string, string | undefined]
      const found = file === "" ? path : relative(ROOT, resolve(ROOT, dirname(path), file))
      if (!existsSync(join(ROOT, found))) broken.push(target!)
      else if (anchor !== undefined && !anchorsOf(found).has(anchor)) broken.push(target!)
    }
    expect(broken).toEqual([])
  })

  test("every page below docs is linked from another page", () => {
    const linked = new Set(
      DOCUMENTS.flatMap((path) =>
        [...read(path).matchAll(/\]\(([^)#\s]+)/g)].map((match) =>
          relative(ROOT, resolve(ROOT, dirname(path), match[1]!)),
        ),
      ),
    )
    expect(markdownBelow("docs").filter((path) => !linked.has(path))).toEqual([])
  })
})

describe("commands in documents", () => {
  const section = (help: string, title: string): string =>
    new RegExp(`^${title}\\n((?: {2}.*\\n?)*)`, "m").exec(help)?.[1] ?? ""
  const subcommandsOf = (help: string): ReadonlyArray<string> =>
    [...section(help, "SUBCOMMANDS").matchAll(/^ {2}(\S+)/gm)].map((match) => match[1]!)
  const flagsOf = (help: string): ReadonlySet<string> =>
    new Set([...help.matchAll(/^ {2}(--[a-z-]+)(?:, (-[a-z]))?/gm)].flatMap(([, long, short]) => [long!, short ?? ""]))

  /** `tidemark …` in shell blocks and in code spans, up to a pipe, a redirection, a comment. */
  const commandsIn = (document: string): ReadonlyArray<string> => {
    const lines = blocks(document, "sh").flatMap((block) => block.split("\n"))
    const spans = [...withoutBlocks(document).matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!)
    return [...lines, ...spans].flatMap((text) =>
      [...text.matchAll(/(?:^|[|&] *)(?:npm run -s tidemark --|tidemark) ([^|>#]+)/g)].map((match) => match[1]!.trim()),
    )
  }

  const problemOf = async (command: string): Promise<string | null> => {
    const words = command.split(/\s+/)
    const path: Array<string> = []
    let help = await helpOf([])
    while (subcommandsOf(help).length > 0) {
      const word = words[path.length]
      // Placeholders such as `<arguments>` and `…` stand for any subcommand.
      if (word === undefined || word.startsWith("-")) break
      if (/^[<…]/.test(word)) return null
      if (!subcommandsOf(help).includes(word)) return `there is no subcommand ${[...path, word].join(" ")}`
      path.push(word)
      help = await helpOf(path)
    }
    const flags = flagsOf(help)
    const unknown = words.slice(path.length).filter((word) => /^--?[a-z]/.test(word) && !flags.has(word))
    return unknown.length === 0 ? null : `tidemark ${path.join(" ")} has no ${unknown.join(", ")}`
  }

  test.each(DOCUMENTS)("all commands in %s exist, with their flags", { timeout: 120_000 }, async (path) => {
    const problems: Array<string> = []
    for (const command of commandsIn(read(path))) {
      const problem = await problemOf(command)
      if (problem !== null) problems.push(`${command}: ${problem}`)
    }
    expect(problems).toEqual([])
  })

  test("the reference names every subcommand and every flag", { timeout: 300_000 }, async () => {
    const reference = read("docs/reference/cli.md")
    const missing: Array<string> = []
    const visit = async (path: ReadonlyArray<string>): Promise<void> => {
      const help = await helpOf(path)
      const name = ["tidemark", ...path].join(" ")
      const subcommands = subcommandsOf(help)
      if (subcommands.length === 0 && !reference.includes(name)) missing.push(name)
      for (const [, flag] of section(help, "FLAGS").matchAll(/^ {2}(--[a-z-]+)/gm)) {
        if (!reference.includes(`\`${flag}`) && !reference.includes(` ${flag} `)) missing.push(`${name} ${flag}`)
      }
      for (const subcommand of subcommands) await visit([...path, subcommand])
    }
    await visit([])
    expect(missing).toEqual([])
  })
})

describe("decision records", () => {
  test.each(DECISIONS)("%s has status, context, options, decision and consequences", (path) => {
    const document = read(path)
    const headings = [...document.matchAll(/^## (.+)$/gm)].map((match) => match[1])
    expect(headings).toEqual(["Status", "Context", "Options", "Decision", "Consequences"])
    expect(document).toMatch(/^# \d+\. /)
    expect(document).toMatch(/## Status\n\n(Proposed|Accepted|Superseded)/)
  })

  test("they are numbered without a hole", () => {
    const numbers = DECISIONS.map((path) => Number(/\/(\d{4})-/.exec(path)![1]))
    expect(numbers).toEqual(numbers.map((_, n) => n + 1))
  })
})
