import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { PROJECT_DEFAULT } from "../../../infra/nats/streamConfig.ts"
import { layerPostgres } from "../../../infra/postgres/PostgresClient.ts"
import type { Configuration } from "../../config/Configuration.ts"
import { layerObserved } from "../../observe/layerObserved.ts"
import type { Projected } from "../../projection/Projector.ts"
import type { ServersOptions } from "../../servers.ts"
import { beWorker, untilStopped } from "../../worker/untilStopped.ts"
import { layerWorker } from "../../worker/worker.ts"
import { WorkerState } from "../../worker/WorkerState.ts"
import { configuration, flag, json, withNewStore, withStore } from "../options.ts"
import { counted, formatCount, printJson } from "../print.ts"
import { projectShowing } from "../projecting.ts"

export const reportProjected = (projected: Projected, asJson: boolean) =>
  asJson
    ? printJson(projected)
    : Console.log(
        [
          projected.workers === undefined
            ? `${counted(projected.events, "event")} projected, ${formatCount(projected.duplicates)} of them duplicates.`
            : `Everything in the log is projected; workers do it (${projected.workers} of them).`,
          ...(projected.rebuilt ? ["The settings had changed, so the read model was made anew."] : []),
          ...(projected.built.length > 0 ? [`Built over all of history: ${projected.built.join(", ")}.`] : []),
        ].join("\n"),
      )

/** A worker of the project on servers. */
const work = (configured: Configuration, { nats, postgres }: ServersOptions) =>
  WorkerState.use(({ owner }) =>
    Effect.logInfo(`Worker ${owner} of project ${nats.project ?? PROJECT_DEFAULT} begins.`),
  ).pipe(
    Effect.andThen(beWorker),
    Effect.provide(
      layerWorker(
        layerPostgres({ ...postgres, name: "leases", poolSize: LEASE_CONNECTIONS }),
        layerObserved(configured),
      ),
    ),
  )

/** Connections of a worker beside those of its steps. */
const LEASE_CONNECTIONS = 2

export const projectCommand = Command.make(
  "project",
  {
    once: flag(
      "once",
      "Fold what is in the log, and exit; without it a worker runs until stopped (the embedded store always does it once, since nobody else can write to it)",
    ),
    json,
  },
  Effect.fn(function* ({ once, json }) {
    const configured = yield* configuration
    const { servers } = configured
    yield* servers === null || once
      ? withStore(Effect.flatMap(projectShowing("project", {}, json), (projected) => reportProjected(projected, json)))
      : untilStopped(withNewStore(work(configured, servers)))
  }),
).pipe(
  Command.withDescription("Fold what is in the log into the read model: as a worker, or once"),
  Command.withExamples([
    { command: "tidemark project", description: "Run a worker, one of any number" },
    { command: "tidemark project --once", description: "Bring the numbers up to date" },
  ]),
)
