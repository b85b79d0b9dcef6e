import { type Effect, Exit, type Layer, ManagedRuntime } from "effect"

/** Services that are built when they are first needed, and held until they are let go of. */
export interface Held<R, ER> {
  readonly runExit: <A, E>(effect: Effect.Effect<A, E, R>) => Promise<Exit.Exit<A, E | ER>>
  readonly letGo: () => Promise<void>
}

/** Holds what a layer builds. What could not be built is tried again at the next call. */
export const holdLayer = <R, ER>(layer: Layer.Layer<R, ER>): Held<R, ER> => {
  let runtime = ManagedRuntime.make(layer)
  return {
    runExit: async (effect) => {
      const used = runtime
      const exit = await used.runPromiseExit(effect)
      if (Exit.isFailure(exit) && used.cachedContext === undefined && used === runtime) {
        runtime = ManagedRuntime.make(layer)
        await used.dispose().catch(() => undefined)
      }
      return exit
    },
    letGo: () => runtime.dispose().catch(() => undefined),
  }
}
