import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { Quarantine } from "../../../domain/log/Quarantine.ts"
import { ReadModelQueries } from "../../../domain/projection/ReadModelQueries.ts"
import { formatInstant } from "../../../domain/time/instant.ts"
import { parseColumnMap } from "../../import/columnMap.ts"
import { dropQuarantine, replayQuarantine } from "../../quarantine.ts"
import { CliFailure, EXIT, sayingWhy } from "../failure.ts"
import { flag, given, json, optionalText, withStore } from "../options.ts"
import { counted, formatCount, formatTable, printJson, visible } from "../print.ts"
import { projectShowing } from "../projecting.ts"

const list = Command.make(
  "list",
  {
    limit: Flag.Int("limit").pipe(Flag.withDescription("Most lines shown"), Flag.withDefault(50)),
    raw: flag("raw", "With --json: also the lines themselves, which may hold personal data"),
    json,
  },
  ({ limit, raw, json }) =>
    withStore(
      Effect.gen(function* () {
        if (limit < 0) {
          return yield* new CliFailure({ sentence: "--limit must be 0 or more.", code: EXIT.badRequest })
        }
        const quarantine = yield* Quarantine
        const counts = yield* quarantine.counts
        const lines = yield* quarantine.list(0, limit)
        const failures = yield* (yield* ReadModelQueries).failures
        const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
        if (json) {
          const shown = lines.map(({ id, source, line, reason, detail, raw: text, quarantinedAt }) => ({
            id,
            source,
            line,
            reason,
            detail,
            quarantinedAt: formatInstant(quarantinedAt),
            ...(raw ? { raw: text } : {}),
          }))
          return yield* printJson({ total, reasons: Object.fromEntries(counts), lines: shown, failures })
        }
        if (total + failures.length === 0) return yield* Console.log("The quarantine is empty.")
        yield* Console.log(
          formatTable(
            ["id", "source", "line", "reason", "detail"],
            lines.map(({ id, source, line, reason, detail }) => [id, source, line, reason, detail]),
          ),
        )
        if (total > lines.length) yield* Console.log(`… and ${formatCount(total - lines.length)} more (--limit).`)
        for (const { partition, sequence, place, metric, cause } of failures) {
          yield* Console.log(`${metric} could not fold event ${place} of ${partition}/${sequence}: ${visible(cause)}`)
        }
      }),
    ),
).pipe(Command.withDescription("Show what was not accepted, and why"))

const replay = Command.make(
  "replay",
  {
    map: optionalText("map", "Which column is what, if that was what was wrong"),
    event: optionalText("event", "Name of the events, if that was what was missing"),
    json,
  },
  Effect.fn(function* ({ map, event, json }) {
    const columns = Option.isSome(map) ? yield* sayingWhy(Effect.fromResult(parseColumnMap(map.value))) : undefined
    yield* withStore(
      Effect.gen(function* () {
        const replayed = yield* replayQuarantine({ map: columns, eventName: given(event) })
        yield* projectShowing("project")
        if (json) return yield* printJson(replayed)
        yield* Console.log(
          `${formatCount(replayed.accepted)} accepted now, ${formatCount(replayed.rejected)} still in quarantine.`,
        )
      }),
    )
  }),
).pipe(Command.withDescription("Try everything in quarantine again"))

const drop = Command.make(
  "drop",
  {
    id: Flag.Int("id").pipe(Flag.withDescription("Only this line"), Flag.optional),
    json,
  },
  ({ id, json }) =>
    withStore(
      Effect.gen(function* () {
        const dropped = yield* dropQuarantine(Option.isSome(id) ? [id.value] : undefined)
        if (Option.isSome(id) && dropped === 0) {
          const sentence = `--id: no line ${id.value} is in quarantine; "tidemark quarantine list" shows those that are.`
          return yield* new CliFailure({ sentence, code: EXIT.badRequest })
        }
        if (json) return yield* printJson({ dropped })
        yield* Console.log(`${counted(dropped, "line")} dropped from the quarantine.`)
      }),
    ),
).pipe(Command.withDescription("Forget what is in quarantine"))

export const quarantineCommand = Command.make("quarantine").pipe(
  Command.withDescription("What could not be accepted: list it, try it again, or drop it"),
  Command.withSubcommands([list, replay, drop]),
)
