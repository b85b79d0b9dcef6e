import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { formatDuration } from "../../../domain/time/duration.ts"
import { doctor } from "../../doctor.ts"
import { status } from "../../status.ts"
import { CliFailure, EXIT } from "../failure.ts"
import { configuration, json, withProvenStore, withStore } from "../options.ts"
import { formatTable, printJson } from "../print.ts"

export const statusCommand = Command.make("status", { json }, ({ json }) =>
  withProvenStore(
    Effect.gen(function* () {
      const found = yield* status()
      if (json) return yield* printJson(found)
      const { settings, partitions, quarantine, sizes } = found
      const forEver = (millis: number | null) => (millis === null ? "none" : formatDuration(millis))
      const waiting = Object.entries(quarantine.lines).map(([reason, lines]) => `${lines} ${reason}`)
      yield* Console.log(
        [
          `time zone ${settings.timeZone}, weeks from ${settings.weekStart}, merge window ${forEver(settings.mergeWindowMillis)}, dedupe horizon ${forEver(settings.dedupeHorizonMillis)}`,
          "",
          formatTable(
            ["partition", "batches", "bytes", "accepted", "projected", "duplicates", "conflicts", "personless", "lag"],
            partitions.map((it) => [
              it.partition,
              it.batches,
              it.bytes,
              it.accepted,
              it.projected,
              it.duplicates,
              it.conflicts,
              it.personless,
              it.lag,
            ]),
          ),
          "",
          formatTable(
            ["distinct ids", "persons", "facts", "cells"],
            [[sizes.distinctIds, sizes.persons, sizes.facts, sizes.cells]],
          ),
          "",
          `quarantine: ${waiting.length === 0 ? "empty" : waiting.join(", ")}`,
        ].join("\n"),
      )
    }),
  ),
).pipe(Command.withDescription("Show what is in the log, and how far the numbers are"))

export const doctorCommand = Command.make(
  "doctor",
  { json },
  Effect.fn(function* ({ json }) {
    const { directory } = yield* configuration
    yield* withStore(
      Effect.gen(function* () {
        const findings = yield* doctor(directory)
        if (json) yield* printJson({ findings })
        else {
          const rows = findings.map(({ check, outcome, found }) => `${SIGNS[outcome]} ${check}: ${found}`)
          yield* Console.log(rows.join("\n"))
        }
        const failures = findings.filter(({ outcome }) => outcome === "failure").length
        if (failures > 0) {
          const sentence = `${failures} of ${findings.length} checks failed; what to do stands with each.`
          return yield* new CliFailure({ sentence, code: EXIT.failed })
        }
      }),
    )
  }),
).pipe(Command.withDescription("Look the store over: is the log whole, is there room, do the clocks agree"))

const SIGNS = { ok: "✓", warning: "!", failure: "✗" } as const
