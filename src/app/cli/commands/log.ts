import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { CONTROL_PARTITION, EventLog } from "../../../domain/log/EventLog.ts"
import { exportLog } from "../../archive/exportLog.ts"
import { importLog, type MappedPartition } from "../../archive/importLog.ts"
import { ARCHIVE_FORMATS } from "../../archive/manifest.ts"
import { openArchive } from "../../archive/openArchive.ts"
import { sayingWhy } from "../failure.ts"
import { json, withLog, withNewStoreOf } from "../options.ts"
import { counted, formatCount, formatTable, printJson } from "../print.ts"
import { makeProgress } from "../progress.ts"
import { projectUnlessStill } from "../projecting.ts"
import { formatSpeed, type Speed, timed } from "../timed.ts"

const MIB = 1024 * 1024

const exportCommand = Command.make(
  "export",
  {
    directory: Argument.String("directory").pipe(
      Argument.withDescription("Where the archive goes: empty or not there yet"),
    ),
    format: Flag.Literals("format", ARCHIVE_FORMATS).pipe(
      Flag.withDescription("batches: to restore the log; ndjson: an object per event, for other tools"),
      Flag.withDefault("batches"),
    ),
    json,
  },
  ({ directory, format, json }) =>
    withLog(
      Effect.gen(function* () {
        const done = yield* timed(
          Effect.gen(function* () {
            const progress = yield* makeProgress(`Exporting to ${directory}`)
            const { totals, files, quarantine, incarnation, partitions } = yield* exportLog(directory, {
              format,
              onProgress: (events) => progress.report(events),
            })
            return { incarnation, partitions, ...totals, files: files.length + quarantine.length }
          }).pipe(Effect.scoped),
          ({ events }) => events,
        )
        if (json) return yield* printJson({ directory, format, ...done })
        const { records, events, controlFacts, quarantined, files, bytes } = done
        yield* Console.log(
          [
            `records        ${formatCount(records)}`,
            `events         ${formatCount(events)}`,
            `control facts  ${formatCount(controlFacts)}`,
            `quarantined    ${formatCount(quarantined)}`,
            `files          ${formatCount(files)}, ${(bytes / MIB).toFixed(1)} MiB`,
            formatSpeed(done),
          ].join("\n"),
        )
      }),
    ),
).pipe(
  Command.withDescription("Write the log to a directory of files with checksums"),
  Command.withExamples([
    { command: "tidemark log export backup", description: "An archive that the log can be restored from" },
    { command: "tidemark log export events --format ndjson", description: "Events for other tools" },
  ]),
)

const importCommand = Command.make(
  "import",
  {
    directory: Argument.String("directory").pipe(Argument.withDescription("What `log export` wrote")),
    json,
  },
  Effect.fn(function* ({ directory, json }) {
    // Looked at before the store is made, which has as many partitions.
    const archive = yield* sayingWhy(openArchive(directory))
    const { partitions, totals, incarnation } = archive.manifest
    yield* withNewStoreOf(
      partitions,
      Effect.gen(function* () {
        const log = yield* EventLog
        const done = yield* timed(
          Effect.gen(function* () {
            const progress = yield* makeProgress(`Importing ${directory}`)
            return yield* importLog(archive, { onProgress: (events) => progress.report(events, totals.events) })
          }).pipe(Effect.scoped),
          ({ events }) => events,
        )
        if (!json) yield* showImported(done)
        const { waiting } = yield* projectUnlessStill()
        if (json) return yield* printJson({ ...done, incarnation: { from: incarnation, to: log.incarnation }, waiting })
        yield* Console.log(waiting ?? "The read model is made from it.")
      }),
    )
  }),
).pipe(
  Command.withDescription("Restore a log, embedded or on servers, from an archive, and project it"),
  Command.withExamples([
    { command: "tidemark log import backup --dir restored", description: "To another embedded store" },
    {
      command: "TIDEMARK_NATS_URL=… TIDEMARK_POSTGRES_URL=… tidemark log import backup",
      description: "To servers",
    },
  ]),
)

const showImported = (done: Effect.Success<ReturnType<typeof importLog>> & Speed) =>
  Console.log(
    [
      formatTable(["partition", "records", "events", "were", "are"], done.partitions.map(rowOf)),
      ...(done.alreadyThere > 0 ? [`there already  ${counted(done.alreadyThere, "record")}`] : []),
      ...(done.quarantined > 0 ? [`quarantined    ${formatCount(done.quarantined)}`] : []),
      formatSpeed(done),
    ].join("\n"),
  )

const rowOf = ({ partition, records, events, from, to }: MappedPartition) => [
  partition === CONTROL_PARTITION ? "control" : String(partition),
  records,
  events,
  `${from.first} to ${from.last}`,
  `${to.first} to ${to.last}`,
]

export const logCommand = Command.make("log").pipe(
  Command.withDescription("Write the log to files, and restore it from them"),
  Command.withSubcommands([exportCommand, importCommand]),
)
