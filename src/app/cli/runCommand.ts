import { readFileSync } from "node:fs"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { Command } from "effect/cli"
import { commandLine } from "./commandLine.ts"
import { layerPresenter, reportDefect } from "./report.ts"

/** From the package itself, which lies as far above the source as above the build. */
const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

/** Runs one command of the program: says what there is to say, and ends in a way that `teardown` knows the exit code of. */
export const runCommand = (args: ReadonlyArray<string>) =>
  Command.runWith(commandLine, { version })(args).pipe(
    Effect.tapCause(reportDefect),
    Effect.provide([NodeServices.layer, layerPresenter]),
  )
