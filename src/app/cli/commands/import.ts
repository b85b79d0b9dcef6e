import { existsSync } from "node:fs"
import { Console, Effect, Option, Result } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { TimeZone } from "../../../domain/time/TimeZone.ts"
import { parseColumnMap } from "../../import/columnMap.ts"
import { FileNotFound } from "../../import/errors.ts"
import { STDIN } from "../../import/source.ts"
import { importEvents, type ImportEventsOptions } from "../../importEvents.ts"
import { provePositions } from "../../provePosition.ts"
import type { Projected } from "../../projection/Projector.ts"
import { CliFailure, EXIT, sayingWhy, toCliFailure } from "../failure.ts"
import { flag, given, json, optionalText, withNewStore } from "../options.ts"
import { formatCount, printJson, visible } from "../print.ts"
import { makeProgress } from "../progress.ts"
import { projectUnlessStill } from "../projecting.ts"
import { formatSpeed, timed } from "../timed.ts"

export const importCommand = Command.make(
  "import",
  {
    files: Argument.String("file").pipe(
      Argument.withDescription("NDJSON or CSV, plain, gzip or zstd; - reads standard input"),
      Argument.variadic({ min: 1 }),
    ),
    format: Flag.Literals("format", ["auto", "tidemark", "segment", "csv"]).pipe(
      Flag.withDescription("Format of the files"),
      Flag.withDefault("auto"),
    ),
    map: optionalText(
      "map",
      "Which column is what: time=COL,user=COL,anonymous=COL,event=COL,id=COL,session=COL,previous=COL,group=COL,kind=COL",
    ),
    event: optionalText("event", "Name of the events where the file has no such column"),
    timeZone: Flag.String("time-zone").pipe(
      Flag.withDescription("IANA zone of times that name none"),
      Flag.withDefault("UTC"),
    ),
    noProject: flag("no-project", "Only append to the log; the numbers follow with `project`"),
    json,
  },
  Effect.fn(function* ({ files, format, map, event, timeZone, noProject, json }) {
    const zone = TimeZone.of(timeZone)
    if (zone === undefined) {
      const sentence = `--time-zone: "${timeZone}" is no IANA time zone; give one such as Europe/Berlin or UTC.`
      return yield* new CliFailure({ sentence, code: EXIT.badRequest })
    }
    const columns = yield* sayingWhy(
      Option.match(map, {
        onNone: () => Effect.succeed({}),
        onSome: (text) => Effect.fromResult(parseColumnMap(text)),
      }),
    )
    // Looked at before the store is made: a slip in a path makes none.
    const missing = files.find((file) => file !== STDIN && !existsSync(file))
    if (missing !== undefined) return yield* toCliFailure(new FileNotFound({ path: missing }))
    yield* withNewStore(
      Effect.gen(function* () {
        // What is appended to another log than the one that the numbers are of would be gone with it.
        yield* provePositions
        const sum = { read: 0, accepted: 0, rejected: 0 }
        const failures: Array<CliFailure> = []
        const allRejected: Array<string> = []
        const options = { format, map: columns, eventName: given(event) ?? null, zone }
        const done = yield* timed(
          Effect.gen(function* () {
            for (const file of files) {
              const imported = yield* importShowing(file, options, sum.read)
              sum.read += imported.read
              sum.accepted += imported.accepted
              sum.rejected += imported.rejected
              failures.push(...imported.failures)
              if (imported.read > 0 && imported.rejected === imported.read) allRejected.push(file)
            }
            return noProject || sum.read === 0
              ? { projected: null, waiting: null }
              : yield* projectUnlessStill({ awaitBuilds: false }).pipe(
                  // What was done is done, and is said.
                  Effect.catch((error) => {
                    const { message: sentence, code } = toCliFailure(error)
                    const followUp = "What was accepted is in the log, and its numbers follow with the next projection."
                    failures.push(new CliFailure({ sentence: `${sentence} ${followUp}`, code }))
                    return Effect.succeed({ projected: null, waiting: null })
                  }),
                )
          }),
          () => sum.read,
        )
        const { projected, waiting, seconds, eventsPerSecond } = done
        if (json) {
          // Live workers have counted them since before the import was over.
          const counted = projected?.workers === undefined ? projected : null
          const duplicates = counted?.duplicates ?? null
          yield* printJson({
            ...sum,
            duplicates,
            conflicts: counted?.conflicts ?? null,
            seconds,
            eventsPerSecond,
            waiting,
            failures: failures.map(({ sentence }) => sentence),
          })
        } else if (sum.read > 0 || failures.length === 0) {
          yield* Console.log(
            [
              `read        ${formatCount(sum.read)}`,
              `accepted    ${formatCount(sum.accepted)}`,
              `duplicates  ${duplicatesOf(projected, waiting)}`,
              `rejected    ${formatCount(sum.rejected)}`,
              formatSpeed(done),
            ].join("\n"),
          )
          if (projected !== null && projected.conflicts > 0) {
            yield* Console.log(
              `${formatCount(projected.conflicts)} repeats say something else than the copy that counts.`,
            )
          }
          if (waiting !== null) yield* Console.log(waiting)
          for (const file of allRejected) {
            yield* Console.log(
              `No line of ${visible(file)} could be taken: look at its format and at --map, which is for all files.`,
            )
          }
          if (sum.rejected > 0) yield* Console.log(`"tidemark quarantine list" shows what was rejected, and why.`)
        }
        if (failures.length > 0) {
          const sentence = failures.map((failure) => failure.sentence).join("\n")
          return yield* new CliFailure({ sentence, code: failures[0]!.code })
        }
      }),
    )
  }),
).pipe(
  Command.withDescription("Import events from files, and project them"),
  Command.withExamples([
    { command: "tidemark import events.ndjson.gz", description: "Import a file of events, one JSON object a line" },
    {
      command: "tidemark import log.csv --map time=ts,user=client --event page_view --time-zone Europe/Berlin",
      description: "Import a CSV file whose columns have names of their own",
    },
    { command: "zcat *.gz | tidemark import -", description: "Import what another program prints" },
  ]),
)

/** Imports one file, showing how far all of them are; what came before a failure counts. */
const importShowing = (file: string, options: ImportEventsOptions, before: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const progress = yield* makeProgress(`Importing ${file}`)
      let numbers = { read: 0, accepted: 0, rejected: 0 }
      const onProgress = (now: typeof numbers) => {
        numbers = now
        progress.report(before + now.read)
      }
      const result = yield* Effect.result(importEvents(file, { ...options, onProgress }))
      return { ...numbers, failures: Result.isFailure(result) ? [toCliFailure(result.failure)] : [] }
    }),
  )

const duplicatesOf = (projected: Projected | null, waiting: string | null): string => {
  if (waiting !== null) return "known when the workers go on"
  if (projected === null) return 'known after "tidemark project"'
  return projected.workers === undefined
    ? formatCount(projected.duplicates)
    : 'counted by the workers, see "tidemark status"'
}
