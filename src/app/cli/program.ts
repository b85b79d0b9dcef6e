import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { teardown } from "./report.ts"
import { runCommand } from "./runCommand.ts"

// Whoever read what is printed has gone, such as `head`: that ends the program as a signal does.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error
  process.kill(process.pid, "SIGTERM")
})

NodeRuntime.runMain(runCommand(process.argv.slice(2)), { disableErrorReporting: true, teardown })
