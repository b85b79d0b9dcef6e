import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, test } from "vitest"
import { expectHarmless, ok, okJson, refusal, runEveryFresh, scratch, tidemark } from "../support/cli.ts"
import { helpOf } from "../support/help.ts"

/** The program itself: help, calls that can't be understood, and the commands that need no store of the user's. */

runEveryFresh()

const here = scratch()
// A call that is refused must not leave a store behind.
const cwd = here.path()

afterAll(() => {
  here.remove()
})

describe("help", () => {
  /** Every command; those with an example are the ones whose call is not plain from its name. */
  const COMMANDS: Readonly<
    Record<string, { readonly example: boolean; readonly subcommands?: ReadonlyArray<string> }>
  > = {
    "": {
      example: true,
      subcommands: [
        "demo",
        "import",
        "query",
        "explain",
        "metrics",
        "project",
        "rebuild",
        "pause",
        "resume",
        "rewind",
        "verify",
        "status",
        "quarantine",
        "settings",
        "doctor",
        "simulate",
      ],
    },
    demo: { example: false },
    import: { example: true },
    query: {
      example: false,
      subcommands: ["active-users", "adoption", "funnel", "sessions", "events", "user", "metric"],
    },
    "query active-users": { example: true },
    "query adoption": { example: true },
    "query funnel": { example: true },
    "query sessions": { example: true },
    "query events": { example: true },
    "query user": { example: true },
    "query metric": { example: true },
    explain: { example: true },
    metrics: {
      example: false,
      subcommands: [
        "validate",
        "plan",
        "apply",
        "compare",
        "promote",
        "rollback",
        "drop",
        "list",
        "show",
        "history",
        "retire",
      ],
    },
    "metrics validate": { example: true },
    "metrics plan": { example: true },
    "metrics apply": { example: true },
    "metrics compare": { example: true },
    "metrics promote": { example: true },
    "metrics rollback": { example: true },
    "metrics drop": { example: true },
    "metrics list": { example: false },
    "metrics show": { example: true },
    "metrics history": { example: true },
    "metrics retire": { example: true },
    project: { example: true },
    rebuild: { example: true },
    pause: { example: true },
    resume: { example: true },
    rewind: { example: true },
    verify: { example: true },
    status: { example: true },
    quarantine: { example: false, subcommands: ["list", "replay", "drop"] },
    "quarantine list": { example: false },
    "quarantine replay": { example: false },
    "quarantine drop": { example: false },
    log: { example: false, subcommands: ["export", "import"] },
    "log export": { example: true },
    "log import": { example: true },
    settings: { example: true },
    doctor: { example: false },
    simulate: { example: true },
  }

  test("is printed by the program as the tests below read it", async () => {
    expect(await ok(["metrics", "compare", "--help"], { cwd })).toBe(await helpOf(["metrics", "compare"]))
  })

  test.each(Object.entries(COMMANDS))("tidemark %s", async (command, { example, subcommands }) => {
    const help = await helpOf(command === "" ? [] : command.split(" "))
    expect(help).toMatch(/^DESCRIPTION\n {2}[A-Z].{10,}/)
    expect(help).toContain(`USAGE\n  tidemark ${command}`.trimEnd())
    if (example) {
      expect(help).toMatch(/EXAMPLES\n {2}# [A-Z]/)
      expect(help).toMatch(new RegExp(`^ {2}(?:.*\\| )?tidemark ${command}`, "m"))
    }
    // Every flag and argument says what it is.
    expect(help).not.toMatch(/^ {2}--[a-z-]+(?: [a-z]+)? *$/m)
    for (const subcommand of subcommands ?? []) expect(help).toMatch(new RegExp(`^  ${subcommand} +[A-Z]`, "m"))
    expectHarmless(help)
  })

  test("no file of commands is missing from the list above", () => {
    const directory = fileURLToPath(new URL("../../src/app/cli/commands", import.meta.url))
    const made = readdirSync(directory, { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts"))
      .flatMap((file) =>
        [...readFileSync(`${directory}/${file}`, "utf8").matchAll(/Command\.make\(\s*"([a-z-]+)"/g)].map(
          ([, name]) => name,
        ),
      )
    expect(
      Object.keys(COMMANDS)
        .map((command) => command.split(" ").at(-1))
        .filter((name) => name !== "")
        .toSorted(),
    ).toEqual(made.toSorted())
  })
})

describe("calls that can't be understood", () => {
  test.each([
    ["an unknown flag", ["query", "events", "--bogus", "--json"], /Unrecognized flag: --bogus/],
    ["an unknown subcommand", ["frobnicate"], /Unknown subcommand "frobnicate"/],
    ["a missing argument", ["import"], /Missing required argument: file/],
    ["a value that is no number", ["quarantine", "list", "--limit", "many", "--json"], /--limit: "many"/],
    ["a value that is none of those there are", ["import", "x", "--format", "xml"], /--format: "xml"/],
    ["neither a funnel nor steps", ["query", "funnel", "--json"], /Give either the name of a funnel, or --steps/],
    ["a window for an applied funnel", ["query", "funnel", "f", "--window", "1d"], /--window goes with --steps/],
    ["a zone that is none", ["import", "x", "--time-zone", "+05:00"], /"\+05:00" is no IANA time zone/],
    ["a map that is none", ["import", "x", "--map", "time"], /KEY=COLUMN/],
    ["fewer people than none", ["simulate", "--users", "-1"], /--users must be 0 or more/],
    ["a demo of no days", ["demo", "--days", "0"], /--days 1 or more/],
  ])("%s", async (_, args, sentence) => {
    const ran = await tidemark(args, { cwd })
    expect(ran.stdout).toBe("")
    expect(refusal(ran, 2)).toMatch(sentence)
    expect(readdirSync(cwd)).toEqual([])
  })
})

describe("simulate", () => {
  const args = ["simulate", "--users", "300", "--days", "7", "--seed", "5"]

  test("the same options give the same bytes, another seed gives others", async () => {
    const first = await ok(args)
    expect(first.split("\n").length).toBeGreaterThan(500)
    expect(await ok(args)).toBe(first)
    expect(await ok([...args.slice(0, -1), "6"])).not.toBe(first)
  })

  test("a reader that has seen enough, as head has, is no failure", async () => {
    const ran = await tidemark(["simulate", "--users", "20000", "--days", "30"], {
      onStart: (child) => child.stdout!.once("data", () => child.stdout!.destroy()),
    })
    expect({ code: ran.code, signal: ran.signal, stderr: ran.stderr }).toEqual({ code: 0, signal: null, stderr: "" })
    expect(ran.millis).toBeLessThan(20_000)
  })
})

describe("demo", () => {
  test("shows the three read models, twice the same, and can be looked at further", async () => {
    await here.store("shop-demo")
    const args = ["demo", "--users", "300", "--days", "14", "--dir", here.path("shop")]
    const first = await ok(args)
    expect(first).toMatch(
      /^[\d,]+ events of a made-up product with 300 people are in .*shop-demo, [\d,]+ of them repeats/,
    )
    expect(first).toContain("Active users per day")
    expect(first).toMatch(/[▁▂▃▄▅▆▇█]{5}/)
    expect(first).toContain("Feature adoption")
    expect(first).toMatch(/Funnel signup/)
    expect(first).toMatch(/^4 +Sign Up +\d+ /m)
    expect(existsSync(here.path("shop"))).toBe(false)
    // Everything that it appends the second time is a repeat.
    const numbers = (text: string) =>
      text.split("\n").filter((line) => /^(?:\d|[a-z_]+ {2})/.test(line) && !/repeats|count once/.test(line))
    const again = await ok(args)
    expect(again).toMatch(/^4,613 events .* were in .* before; they came again, and count once\./)
    expect(numbers(again)).toEqual(numbers(first))
    expect((await okJson(["verify", "--dir", here.path("shop-demo")])).differences).toEqual([])
  })
})
