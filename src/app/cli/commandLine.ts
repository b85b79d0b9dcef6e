import { Command } from "effect/cli"
import { importCommand } from "./commands/import.ts"
import { explainCommand } from "./commands/explain.ts"
import { logCommand } from "./commands/log.ts"
import { metricsCommand } from "./commands/metrics.ts"
import { pauseCommand, resumeCommand, rewindCommand } from "./commands/operate.ts"
import { projectCommand } from "./commands/project.ts"
import { rebuildCommand } from "./commands/rebuild.ts"
import { quarantineCommand } from "./commands/quarantine.ts"
import { queryCommand } from "./commands/query.ts"
import { settingsCommand } from "./commands/settings.ts"
import { demoCommand, simulateCommand } from "./commands/simulate.ts"
import { doctorCommand } from "./commands/doctor.ts"
import { statusCommand } from "./commands/status.ts"
import { verifyCommand } from "./commands/verify.ts"
import { root } from "./options.ts"

/** All commands of the program. */
export const commandLine = root.pipe(
  Command.withDescription(
    "Event-sourced product analytics: a log of what users did, and numbers that any replay gives again",
  ),
  Command.withExamples([
    { command: "tidemark demo", description: "See it work on a made-up product" },
    { command: "tidemark import events.ndjson.gz", description: "Import your own events" },
    { command: "tidemark query active-users --interval week", description: "Ask" },
  ]),
  Command.withSubcommands([
    demoCommand,
    importCommand,
    queryCommand,
    explainCommand,
    metricsCommand,
    projectCommand,
    rebuildCommand,
    pauseCommand,
    resumeCommand,
    rewindCommand,
    verifyCommand,
    statusCommand,
    quarantineCommand,
    logCommand,
    settingsCommand,
    doctorCommand,
    simulateCommand,
  ]),
)
