import { Effect, Layer, Option } from "effect"
import { Command, Flag } from "effect/cli"
import type { EventLog } from "../../domain/log/EventLog.ts"
import type { Quarantine } from "../../domain/log/Quarantine.ts"
import { Analytics } from "../Analytics.ts"
import { type Configuration, readConfiguration } from "../config/Configuration.ts"
import { hasStore } from "../embedded.ts"
import { layerLog, layerStore, layerStoreOf } from "../layerStore.ts"
import { layerTelemetry } from "../observe/telemetry.ts"
import { provePositions } from "../provePosition.ts"
import type { Store } from "../store.ts"
import { CliFailure, EXIT, sayingWhy, toOpenFailure } from "./failure.ts"

/** The root command; what it shares every command below can read. */
export const root = Command.make("tidemark").pipe(
  Command.withSharedFlags({
    dir: Flag.String("dir").pipe(
      Flag.withAlias("d"),
      Flag.withDescription("Directory of the embedded store (or TIDEMARK_DIR; .tidemark)"),
      Flag.optional,
    ),
    config: Flag.String("config").pipe(
      Flag.withDescription("Configuration file (or TIDEMARK_CONFIG; tidemark.config.yaml)"),
      Flag.optional,
    ),
  }),
)

/** The configuration that a command runs under. */
export const configuration: Effect.Effect<Configuration, CliFailure, Command.CommandContext<"tidemark">> = Effect.gen(
  function* () {
    const { dir, config } = yield* root
    return yield* sayingWhy(readConfiguration({ environment: process.env, file: given(config), directory: given(dir) }))
  },
)

/** A flag that is off unless it is given. */
export const flag = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

export const json = flag("json", "Print JSON for programs")

/** A flag that need not be given. */
export const optionalText = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.optional)

export const range = {
  from: optionalText("from", "First day: YYYY-MM-DD, today, yesterday or N_days_ago"),
  to: optionalText("to", "Last day, included"),
}

/** As of when a question is asked. */
export const asOf = optionalText(
  "as-of",
  "Answer from a replay of the log up to an instant (2026-11-01T00:00) or to the cut of another answer",
)

/** Options as `undefined` where they were not given. */
export const given = <A>(option: Option.Option<A>): A | undefined => Option.getOrUndefined(option)

type StoreEffect<A, E> = Effect.Effect<A, E, Store | Analytics>

const withStoreOf = <A, E extends { readonly _tag: string; readonly message: string }>(
  configured: Configuration,
  effect: StoreEffect<A, E>,
  store = layerStore(configured),
): Effect.Effect<A, CliFailure> => {
  const layer = Analytics.layer.pipe(Layer.provideMerge(store), Layer.provideMerge(layerTelemetry(configured)))
  return sayingWhy(effect).pipe(Effect.provide(layer), Effect.mapError(toOpenFailure))
}

/** Runs an effect on the configured store, made if need be; all failures become sentences with exit codes. */
export const withNewStore = <A, E extends { readonly _tag: string; readonly message: string }>(
  effect: StoreEffect<A, E>,
): Effect.Effect<A, CliFailure, Command.CommandContext<"tidemark">> =>
  Effect.flatMap(configuration, (configured) => withStoreOf(configured, effect))

/** The same for what says itself how many partitions a new log has. */
export const withNewStoreOf = <A, E extends { readonly _tag: string; readonly message: string }>(
  partitions: number,
  effect: StoreEffect<A, E>,
): Effect.Effect<A, CliFailure, Command.CommandContext<"tidemark">> =>
  Effect.flatMap(configuration, (configured) => withStoreOf(configured, effect, layerStoreOf(partitions, configured)))

/** The configuration of a store that is there: a slip in `--dir` or the project makes none. */
const existing = Effect.gen(function* () {
  const configured = yield* configuration
  const { directory, servers } = configured
  if (servers !== null) return { ...configured, servers: { ...servers, nats: { ...servers.nats, create: false } } }
  if (hasStore(directory)) return configured
  const sentence = `There is no store in ${directory}. "tidemark import FILE" makes one, or name another with --dir.`
  return yield* new CliFailure({ sentence, code: EXIT.storeUnavailable })
})

/** The same for commands that only make sense where there is a store. */
export const withStore = <A, E extends { readonly _tag: string; readonly message: string }>(
  effect: StoreEffect<A, E>,
): Effect.Effect<A, CliFailure, Command.CommandContext<"tidemark">> =>
  Effect.flatMap(existing, (configured) => withStoreOf(configured, effect))

/** The same for commands that need the log alone, whatever has become of the read model. */
export const withLog = <A, E extends { readonly _tag: string; readonly message: string }>(
  effect: Effect.Effect<A, E, EventLog | Quarantine>,
): Effect.Effect<A, CliFailure, Command.CommandContext<"tidemark">> =>
  Effect.flatMap(existing, (configured) => {
    const layer = Layer.merge(layerLog(configured), layerTelemetry(configured))
    return sayingWhy(effect).pipe(Effect.provide(layer), Effect.mapError(toOpenFailure))
  })

/** The same for questions: the log must hold what the read model was made from, or an answer would be of another history. */
export const withProvenStore = <A, E extends { readonly _tag: string; readonly message: string }>(
  effect: StoreEffect<A, E>,
) => withStore(Effect.andThen(provePositions, effect))
