import { Data, Effect, Runtime } from "effect"
import { CliError } from "effect/cli"
import { visible } from "./print.ts"

/**
 * Exit codes; documented in docs/reference/cli.md.
 *
 * A storage contract of sorts: scripts depend on them.
 */
export const EXIT = {
  /** A check found something (`verify`, `doctor`), or part of the work could not be done. */
  failed: 1,
  /** The request can't be answered as it was put. */
  badRequest: 2,
  /** `metrics plan` found changes, which is no failure; there, requests that can't be answered exit as `failed`. */
  changesPlanned: 2,
  /** The store can't be opened: in use, not permitted, made by a newer version. */
  storeUnavailable: 3,
  /** The log is damaged, or is not the one that the read model was made from. */
  logDamaged: 4,
} as const

/** A failure as the command line shows it: one sentence, and an exit code. */
export class CliFailure extends Data.TaggedError("CliFailure")<{ readonly sentence: string; readonly code: number }> {
  override get message(): string {
    return this.sentence
  }
  override get [CliError.userMessage](): string {
    return this.sentence.split("\n").map(visible).join("\n  ")
  }
  override get [Runtime.errorExitCode](): number {
    return this.code
  }
}

/** Ends a command with the code for planned changes, and without a word: what there is to say was printed. */
export class ChangesPlanned extends Data.TaggedError("ChangesPlanned") {
  override get [Runtime.errorExitCode](): number {
    return EXIT.changesPlanned
  }
}

const CODE_OF_TAG: Readonly<Record<string, number>> = {
  StoreInUse: EXIT.storeUnavailable,
  StoreUnavailable: EXIT.storeUnavailable,
  StoreNewer: EXIT.storeUnavailable,
  NatsUnreachable: EXIT.storeUnavailable,
  NatsRefused: EXIT.storeUnavailable,
  NatsServerUnfit: EXIT.storeUnavailable,
  StreamUnfit: EXIT.storeUnavailable,
  NoSuchLog: EXIT.storeUnavailable,
  PostgresUnavailable: EXIT.storeUnavailable,
  LogDamaged: EXIT.logDamaged,
  CorruptBatch: EXIT.logDamaged,
  PositionDiverged: EXIT.logDamaged,
  UnknownBatchVersion: EXIT.storeUnavailable,
  UnknownControlFact: EXIT.storeUnavailable,
  ArchiveNewer: EXIT.storeUnavailable,
  ArchiveNotWritten: EXIT.failed,
  ImportIncomplete: EXIT.failed,
  LogUnavailable: EXIT.failed,
  ReadModelUnavailable: EXIT.failed,
  WorkersStandStill: EXIT.failed,
  CheckpointConflict: EXIT.failed,
  Unexplained: EXIT.failed,
}

/** Turns every typed error into its own sentence and code; those not listed are the request's fault. */
export const toCliFailure = (error: { readonly _tag: string; readonly message: string }): CliFailure =>
  error instanceof CliFailure
    ? error
    : new CliFailure({
        sentence: error.message.replace(/\s*\n\s*/g, " "),
        code: CODE_OF_TAG[error._tag] ?? EXIT.badRequest,
      })

/** The same for what kept a store from being opened, such as tables of a newer version or of another project. */
export const toOpenFailure = (error: { readonly _tag: string; readonly message: string }): CliFailure => {
  const failure = toCliFailure(error)
  return error._tag === "ReadModelUnavailable"
    ? new CliFailure({ sentence: failure.sentence, code: EXIT.storeUnavailable })
    : failure
}

/** The end of every command: typed errors become sentences. */
export const sayingWhy = <A, E extends { readonly _tag: string; readonly message: string }, R>(
  effect: Effect.Effect<A, E, R>,
): Effect.Effect<A, CliFailure, R> => Effect.mapError(effect, toCliFailure)
