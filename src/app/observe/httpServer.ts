import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Data, Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import type { Health } from "./health.ts"
import { Observation } from "./Observation.ts"

/** The worker can't answer at its address. */
export class HttpUnavailable extends Data.TaggedError("HttpUnavailable")<{
  readonly host: string
  readonly port: number
  readonly reason: string
}> {
  override get message(): string {
    return `The worker can't answer at ${this.host}:${this.port}: ${this.reason}. Choose another port (TIDEMARK_HTTP_PORT), or none.`
  }
}

/** `/healthz`, `/readyz` and `/metrics`, for as long as the layer is open. */
export const layerHttp = ({
  host,
  port,
}: {
  readonly host: string
  readonly port: number
}): Layer.Layer<never, HttpUnavailable, Observation> =>
  HttpRouter.serve(layerRoutes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(NodeHttpServer.layer(createServer, { host, port, gracefulShutdownTimeout: "1 second" })),
    Layer.catchTag("ServeError", ({ cause }) =>
      Layer.effectDiscard(Effect.fail(new HttpUnavailable({ host, port, reason: reasonOf(cause) }))),
    ),
  )

const layerRoutes = HttpRouter.use(
  Effect.fn(function* (router) {
    const observation = yield* Observation
    yield* router.add("GET", "/healthz", Effect.map(observation.liveness, answer))
    yield* router.add("GET", "/readyz", Effect.map(observation.readiness, answer))
    yield* router.add(
      "GET",
      "/metrics",
      Effect.map(observation.metrics, (text) =>
        HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" }),
      ),
    )
  }),
)

const answer = (health: Health) =>
  HttpServerResponse.text(`${JSON.stringify(health)}\n`, {
    status: health.ok ? 200 : 503,
    contentType: "application/json",
  })

const reasonOf = (cause: unknown): string => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  if (code === "EADDRINUSE") return "another program listens there"
  if (code === "EACCES") return "it is not permitted"
  return cause instanceof Error ? cause.message : String(cause)
}
