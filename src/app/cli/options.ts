import { Config, Effect, Layer, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { Analytics } from "../Analytics.ts"
import { type Embedded, hasStore, layerEmbedded } from "../embedded.ts"
import { provePositions } from "../provePosition.ts"
import { CliFailure, EXIT, sayingWhy, toCliFailure } from "./failure.ts"

/** The root command; what it shares every command below can read. */
export const root = Command.make("tidemark").pipe(
  Command.withSharedFlags({
    dir: Flag.String("dir").pipe(
      Flag.withAlias("d"),
      Flag.withDescription("Directory of the store (or TIDEMARK_DIR)"),
      Flag.withFallbackConfig(Config.String("TIDEMARK_DIR")),
      Flag.withDefault(".tidemark"),
    ),
  }),
)

export const json = Flag.Boolean("json").pipe(Flag.withDescription("Print JSON for programs"), Flag.withDefault(false))

/** A flag that need not be given. */
export const optionalText = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.optional)

export const range = {
  from: optionalText("from", "First day: YYYY-MM-DD, today, yesterday or N_days_ago"),
  to: optionalText("to", "Last day, included"),
}

/** Options as `undefined` where they were not given. */
export const given = <A>(option: Option.Option<A>): A | undefined => Option.getOrUndefined(option)

type StoreEffect<A, E> = Effect.Effect<A, E, Embedded | Analytics>

/** Runs an effect on the store that `--dir` names, made if need be; all failures become sentences with exit codes. */
export const withNewStore = <A, E extends { readonly _tag: string; readonly message: string }>(
  effect: StoreEffect<A, E>,
): Effect.Effect<A, CliFailure, Command.CommandContext<"tidemark">> =>
  Effect.gen(function* () {
    const { dir } = yield* root
    const layer = Analytics.layer.pipe(Layer.provideMerge(layerEmbedded({ directory: dir })))
    return yield* sayingWhy(effect).pipe(Effect.provide(layer), Effect.mapError(toCliFailure))
  })

/** The same for commands that only make sense where there is a store: a slip in `--dir` makes none. */
export const withStore = <A, E extends { readonly _tag: string; readonly message: string }>(
  effect: StoreEffect<A, E>,
): Effect.Effect<A, CliFailure, Command.CommandContext<"tidemark">> =>
  Effect.gen(function* () {
    const { dir } = yield* root
    if (!hasStore(dir)) {
      const sentence = `There is no store in ${dir}. "tidemark import FILE" makes one, or name another with --dir.`
      return yield* new CliFailure({ sentence, code: EXIT.storeUnavailable })
    }
    return yield* withNewStore(effect)
  })

/** The same for questions: the log must hold what the read model was made from, or an answer would be of another history. */
export const withProvenStore = <A, E extends { readonly _tag: string; readonly message: string }>(
  effect: StoreEffect<A, E>,
) => withStore(Effect.andThen(provePositions, effect))
