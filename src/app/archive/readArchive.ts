import { Effect, Result, Stream } from "effect"
import { decodeBatch, type PackedBatch } from "../../domain/log/batch.ts"
import { ChainVerifier } from "../../domain/log/ChainVerifier.ts"
import type { UnknownBatchVersion } from "../../domain/log/errors.ts"
import { CONTROL_PARTITION } from "../../domain/log/EventLog.ts"
import type { QuarantinedLine } from "../../domain/log/Quarantine.ts"
import { type ArchiveFileError, checkPresence, readFrames, readJsonLines } from "./archiveFiles.ts"
import { ArchiveDamaged } from "./errors.ts"
import type { Frame } from "./frames.ts"
import type { Archive } from "./openArchive.ts"

/** A record of an archive, ready to append. */
export interface ArchivedRecord {
  /** Where it stood in the log that was exported. */
  readonly sequence: number
  readonly batch: PackedBatch
}

export type ReadArchiveError = ArchiveFileError | UnknownBatchVersion

/** All partitions of an archive, that of the control facts first. */
export const partitionsOf = ({ manifest }: Archive): ReadonlyArray<number> => [
  CONTROL_PARTITION,
  ...Array.from({ length: manifest.partitions }, (_, n) => n),
]

/**
 * The records of a partition in order, each proven: its checksum, and its place in its writer's chain. Stops at the first
 * that is damaged or missing, and names its file.
 */
export const readPartition = (archive: Archive, partition: number): Stream.Stream<ArchivedRecord, ReadArchiveError> =>
  Stream.suspend(() => {
    const prove = prover(archive.directory, partition)
    return Stream.fromIterable(archive.manifest.files.filter((file) => file.partition === partition)).pipe(
      Stream.flatMap(({ name }) =>
        readFrames(archive.directory, name).pipe(Stream.mapEffect((frame) => Effect.fromResult(prove(name, frame)))),
      ),
    )
  })

/** Opens the records of a partition, one after another. */
const prover = (directory: string, partition: number) => {
  const chain = new ChainVerifier(partition)
  let before = 0
  return (
    file: string,
    { sequence, bytes }: Frame,
  ): Result.Result<ArchivedRecord, ArchiveDamaged | UnknownBatchVersion> => {
    const damaged = (problem: string) => new ArchiveDamaged({ directory, file, problem })
    if (sequence <= before) return Result.fail(damaged(`has record ${sequence} after record ${before}`))
    before = sequence
    const opened = Result.gen(function* () {
      const batch = yield* decodeBatch(bytes)
      yield* chain.accept(sequence, batch)
      const { id, sum, origin, count } = batch
      return { sequence, batch: { id, sum, origin, count, bytes } }
    })
    return Result.mapError(opened, (error) =>
      error._tag === "UnknownBatchVersion" ? error : damaged(`is damaged at record ${sequence}: ${error.problem}`),
    )
  }
}

/** The lines of the quarantine, oldest first. */
export const readQuarantine = ({ directory, manifest }: Archive): Stream.Stream<QuarantinedLine, ArchiveFileError> =>
  Stream.fromIterable(manifest.quarantine).pipe(
    Stream.flatMap(({ name }) => readJsonLines(directory, name)),
    // What matches its checksum was written by an export.
    Stream.map((line) => line as QuarantinedLine),
  )

/** Proves all of an archive, before anything is made of it. */
export const proveArchive = Effect.fn("proveArchive")(function* (archive: Archive) {
  yield* checkPresence(archive)
  for (const partition of partitionsOf(archive)) yield* Stream.runDrain(readPartition(archive, partition))
  yield* Stream.runDrain(readQuarantine(archive))
})
