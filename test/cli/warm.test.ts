import { afterAll, expect, test } from "vitest"
import { scratch } from "../support/cli.ts"
import { cleanEnv } from "../support/node.ts"
import { startWarmProgram } from "../support/warmProgram.ts"

/** What is wrong with a command also shows where many of them share a process. */

const here = scratch()

/** A definition file is a program, so it can do to the process what a command of ours should not. */
const validate = (name: string, code: string) => ({
  args: ["metrics", "validate", here.write(name, code), "--dir", here.path("none")],
  env: cleanEnv(),
  cwd: here.path(),
  stdin: new Uint8Array(),
})

const FINE = `export default { name: "x", version: 1, formula: { kind: "event-count" } }`

afterAll(() => here.remove())

test("what a command leaves behind fails it, and not the next one", async () => {
  const program = startWarmProgram()
  const leaking = [
    `process.on("SIGHUP", () => {})`,
    `import { openSync } from "node:fs"; openSync(${JSON.stringify(here.write("held", ""))})`,
  ]
  for (const [n, code] of leaking.entries()) {
    await expect(program.run(validate(`leaking${n}.mjs`, `${code};${FINE}`))).rejects.toThrow(
      /left something behind: (?:a listener of SIGHUP|.*held)$/,
    )
  }
  expect(await program.run(validate("fine.mjs", FINE))).toMatchObject({ code: 0, stderr: "" })
  await program.end()
})

test("no command sees the environment of another, nor its directory", async () => {
  const program = startWarmProgram()
  const saying = `console.log(JSON.stringify({ env: process.env, cwd: process.cwd() }));${FINE}`
  for (const [n, around] of [
    { env: { ...cleanEnv(), TZ: "Asia/Tokyo" }, cwd: "/" },
    { env: {}, cwd: here.path() },
  ].entries()) {
    const { stdout } = await program.run({ ...validate(`saying${n}.mjs`, saying), ...around })
    expect(JSON.parse(stdout.split("\n")[0]!)).toEqual(around)
  }
  await program.end()
})

test("a process that dies fails the command, and whatever comes after it", async () => {
  const program = startWarmProgram()
  const dying = validate("dying.mjs", `console.error("no more"); process.exit(7)`)
  await expect(program.run(dying)).rejects.toThrow(/died \(code 7\)\. It said: no more/)
  await expect(program.run(validate("fine.mjs", FINE))).rejects.toThrow(/died/)
  await expect(program.end()).rejects.toThrow(/died/)
})
