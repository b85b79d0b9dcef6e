import { Console, Effect, Option, Result, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { sameSettings, Settings, type SettingsChange } from "../../../domain/settings.ts"
import { formatDuration, parseDuration } from "../../../domain/time/duration.ts"
import { readControl, recordSettings } from "../../control.ts"
import { CliFailure, EXIT } from "../failure.ts"
import { json, optionalText, withNewStore } from "../options.ts"
import { printJson } from "../print.ts"
import { projectShowing } from "../projecting.ts"

const decodeSettings = Schema.decodeUnknownResult(Settings)

/** A duration flag, where `none` stands for no limit. */
const millisOf = (name: string, text: string): Effect.Effect<number | null, CliFailure> => {
  if (text === "none") return Effect.succeed(null)
  const millis = parseDuration(text)
  return millis === undefined
    ? Effect.fail(
        new CliFailure({
          sentence: `--${name}: "${text}" is no duration; give 30d, 12h or none.`,
          code: EXIT.badRequest,
        }),
      )
    : Effect.succeed(millis)
}

export const settingsCommand = Command.make(
  "settings",
  {
    timeZone: optionalText("time-zone", "IANA zone whose days are reported"),
    weekStart: Flag.Literals("week-start", ["monday", "sunday"]).pipe(
      Flag.withDescription("First day of a week"),
      Flag.optional,
    ),
    mergeWindow: optionalText(
      "merge-window",
      "How long before its sign-in a device's activity becomes the user's, or none",
    ),
    dedupeHorizon: optionalText("dedupe-horizon", "How long an event id counts once, or none for ever"),
    json,
  },
  Effect.fn(function* ({ timeZone, weekStart, mergeWindow, dedupeHorizon, json }) {
    yield* withNewStore(
      Effect.gen(function* () {
        const { settings } = yield* readControl
        const change: SettingsChange = {
          ...(Option.isSome(timeZone) ? { timeZone: timeZone.value } : {}),
          ...(Option.isSome(weekStart) ? { weekStart: weekStart.value } : {}),
          ...(Option.isSome(mergeWindow)
            ? { mergeWindowMillis: yield* millisOf("merge-window", mergeWindow.value) }
            : {}),
          ...(Option.isSome(dedupeHorizon)
            ? { dedupeHorizonMillis: yield* millisOf("dedupe-horizon", dedupeHorizon.value) }
            : {}),
        }
        const decoded = decodeSettings({ ...settings, ...change })
        if (Result.isFailure(decoded)) {
          const sentence = `--time-zone: "${change.timeZone}" is no IANA time zone; give one such as Europe/Berlin.`
          return yield* new CliFailure({ sentence, code: EXIT.badRequest })
        }
        if (!sameSettings(decoded.success, settings)) {
          yield* recordSettings(change)
          yield* projectShowing("project")
        }
        if (json) return yield* printJson(decoded.success)
        const limit = (millis: number | null) => (millis === null ? "none" : formatDuration(millis))
        yield* Console.log(
          [
            `time zone       ${decoded.success.timeZone}`,
            `week start      ${decoded.success.weekStart}`,
            `merge window    ${limit(decoded.success.mergeWindowMillis)}`,
            `dedupe horizon  ${limit(decoded.success.dedupeHorizonMillis)}`,
          ].join("\n"),
        )
      }),
    )
  }),
).pipe(
  Command.withDescription("Show the project's settings, or change them: recorded in the log, over all of history"),
  Command.withExamples([
    {
      command: "tidemark settings --time-zone Europe/Berlin",
      description: "Report days of Berlin; the read model is made anew",
    },
  ]),
)
