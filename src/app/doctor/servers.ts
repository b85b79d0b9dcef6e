import { Effect, Result } from "effect"
import { EventLog } from "../../domain/log/EventLog.ts"
import { inspectNats } from "../../infra/nats/inspectNats.ts"
import { PROJECT_DEFAULT } from "../../infra/nats/streamConfig.ts"
import { inspectPostgres } from "../../infra/sql/inspectPostgres.ts"
import type { ServersOptions } from "../servers.ts"
import { status } from "../status/status.ts"
import { clockFinding } from "./clockFindings.ts"
import { failure, type Finding, ok } from "./Finding.ts"
import { natsFindings } from "./natsFindings.ts"
import { postgresFindings } from "./postgresFindings.ts"
import { positionsFinding, quarantineFinding, readModelFindings } from "./storeFindings.ts"

/**
 * Looks a project on servers over: the servers and how they are set up, the log and the read model, the clocks. It reads
 * no events: "tidemark verify" does, all of them.
 */
export const doctorServers = Effect.fn("doctorServers")(function* ({ nats }: ServersOptions) {
  const ofNats = yield* inspectNats(nats, nats.project ?? PROJECT_DEFAULT)
  const ofPostgres = yield* inspectPostgres
  const whole = yield* Effect.result(EventLog.use(({ prove }) => prove))
  const findings: Array<Finding> = [
    ok("node", `Node ${process.version}`),
    ...natsFindings(ofNats),
    ...postgresFindings(ofPostgres),
    clockFinding("NATS", ofNats.skewMillis, ofNats.roundTripMillis),
    clockFinding("PostgreSQL", ofPostgres.skewMillis, ofPostgres.roundTripMillis),
    Result.isFailure(whole)
      ? failure("log", whole.failure.message)
      : ok("log", "the server misses no record between the first and the last"),
    yield* positionsFinding,
  ]
  const found = yield* status()
  findings.push(
    ...(yield* readModelFindings(
      found,
      '"tidemark status" shows whether a worker is at it; "tidemark project" is one',
    )),
    quarantineFinding(found),
  )
  return findings
})
