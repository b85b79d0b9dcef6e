import type { SqlClient } from "effect/sql"
import type { EventLog } from "../domain/log/EventLog.ts"
import type { Quarantine } from "../domain/log/Quarantine.ts"
import type { Operations } from "../domain/projection/Operations.ts"
import type { ReadModel } from "../domain/projection/ReadModel.ts"
import type { ReadModelQueries } from "../domain/projection/ReadModelQueries.ts"
import type { WorkerReports } from "../domain/projection/WorkerReports.ts"
import type { Replays } from "./asOf/Replays.ts"
import type { LogWriter } from "./LogWriter.ts"
import type { Projector } from "./projection/Projector.ts"

/** The services of a project's store, wherever its log and its read model are. */
export type Store =
  | EventLog
  | Quarantine
  | LogWriter
  | ReadModel
  | ReadModelQueries
  | Operations
  | WorkerReports
  | Projector
  | Replays
  | SqlClient.SqlClient
