import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { teardown } from "./report.ts"
import { runCommand } from "./runCommand.ts"

NodeRuntime.runMain(runCommand(process.argv.slice(2)), { disableErrorReporting: true, teardown })
