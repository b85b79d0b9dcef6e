import { readFileSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { Command } from "effect/cli"
import { commandLine } from "./commandLine.ts"
import { layerPresenter, reportDefect, teardown } from "./report.ts"

/** From the package itself, which lies as far above the source as above the build. */
const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

commandLine.pipe(
  Command.run({ version }),
  Effect.tapCause(reportDefect),
  Effect.provide([NodeServices.layer, layerPresenter]),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown }),
)
