import { Command } from "effect/cli"
import { applyCommand } from "./metrics/apply.ts"
import { compareCommand, dropCommand, promoteCommand, rollbackCommand } from "./metrics/builds.ts"
import { historyCommand } from "./metrics/history.ts"
import { listCommand } from "./metrics/list.ts"
import { planCommand } from "./metrics/plan.ts"
import { retireCommand } from "./metrics/retire.ts"
import { showCommand } from "./metrics/show.ts"
import { validateCommand } from "./metrics/validate.ts"

export const metricsCommand = Command.make("metrics").pipe(
  Command.withDescription("Define metrics"),
  Command.withSubcommands([
    validateCommand,
    planCommand,
    applyCommand,
    compareCommand,
    promoteCommand,
    rollbackCommand,
    dropCommand,
    listCommand,
    showCommand,
    historyCommand,
    retireCommand,
  ]),
)
