import { hash } from "node:crypto"
import { Effect, Layer, ManagedRuntime, Redacted, Stream } from "effect"
import { exportLog, type ExportOptions } from "../../src/app/archive/exportLog.ts"
import { importLog, type ImportLogOptions } from "../../src/app/archive/importLog.ts"
import { openArchive } from "../../src/app/archive/openArchive.ts"
import { layerEmbeddedLog } from "../../src/app/embedded.ts"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { readBatches } from "../../src/app/readBatches.ts"
import { layerServersLog } from "../../src/app/servers.ts"
import { CONTROL_PARTITION, EventLog } from "../../src/domain/log/EventLog.ts"
import { Quarantine } from "../../src/domain/log/Quarantine.ts"

type LogServices = EventLog | Quarantine | LogWriter

/** A log with the quarantine beside it, opened anew for every use, as processes do. */
export interface TestLog {
  readonly run: <A, E>(effect: Effect.Effect<A, E, LogServices>) => Promise<A>
}

const testLog = <E>(layer: Layer.Layer<EventLog | Quarantine, E>): TestLog => ({
  run: async (effect) => {
    const runtime = ManagedRuntime.make(LogWriter.layer.pipe(Layer.provideMerge(layer)))
    try {
      return await runtime.runPromise(effect)
    } finally {
      await runtime.dispose()
    }
  },
})

export const embeddedLog = (directory: string, partitions: number): TestLog =>
  testLog(layerEmbeddedLog({ directory, partitions }))

/** The project of a log on servers, in a stream and a schema of its own. */
export interface TestProject {
  readonly nats: string
  readonly postgres: string
  readonly project: string
  readonly partitions: number
}

export const serversLog = ({ nats, postgres, project, partitions }: TestProject): TestLog =>
  testLog(
    layerServersLog({
      nats: { servers: nats, project, partitions },
      postgres: { url: Redacted.make(postgres), schema: project },
    }),
  )

/** All records of a log by partition, each proven. */
export const recordsOf = Effect.gen(function* () {
  const log = yield* EventLog
  const partitions = [CONTROL_PARTITION, ...Array.from({ length: log.partitions }, (_, n) => n)]
  return yield* Effect.forEach(partitions, (partition) =>
    Stream.runCollect(readBatches(partition)).pipe(Effect.map((records) => ({ partition, records }))),
  )
})

/** What two logs must have in common if one was made of the other: everything but positions. */
export const contentOf = Effect.map(recordsOf, (all) =>
  all.map(({ partition, records }) => ({
    partition,
    batches: records.map(({ batch }) => batch.id),
    bytes: hash("sha256", Buffer.concat(records.map(({ bytes }) => bytes))),
  })),
)

export const quarantineOf = Effect.gen(function* () {
  const lines = yield* (yield* Quarantine).list(0, 1_000_000)
  return lines.map((line) => ({ ...line, id: 0 }))
})

export const exportTo = (directory: string, options: Partial<ExportOptions> = {}) =>
  exportLog(directory, { format: "batches", ...options })

export const importFrom = (directory: string, options?: ImportLogOptions) =>
  Effect.flatMap(openArchive(directory), (archive) => importLog(archive, options))

/** What the failure of an effect says that has to fail. */
export const refusalOf = <A, E extends { readonly message: string }>(
  log: TestLog,
  effect: Effect.Effect<A, E, LogServices>,
): Promise<string> => log.run(Effect.map(Effect.flip(effect), ({ message }) => message))
