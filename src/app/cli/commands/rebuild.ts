import { Console, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { priceRebuild } from "../../change/priceRebuild.ts"
import { rebuild } from "../../change/rebuild.ts"
import { CliFailure, EXIT } from "../failure.ts"
import { flag, given, json, range, withProvenStore, withStore } from "../options.ts"
import { printJson } from "../print.ts"
import { projectShowing, showingProjection } from "../projecting.ts"
import { comparisonLines } from "./metrics/comparisonLines.ts"
import { costLines } from "./metrics/costLines.ts"
import { accept, why } from "./metrics/decision.ts"
import { reportProjected } from "./project.ts"

export const rebuildCommand = Command.make(
  "rebuild",
  {
    metrics: Argument.String("metric").pipe(
      Argument.withDescription("Metrics to build anew (default: all that are live)"),
      Argument.variadic({ min: 0 }),
    ),
    plan: flag("plan", "Say what it would cost, and do nothing"),
    noPromote: flag("no-promote", "Leave what was built beside what answers"),
    ...range,
    accept,
    wipe: flag("wipe", "Empty every table first, who is who included; nothing is answered until it is through"),
    acceptLog: flag("accept-log", "Wipe, and take the log as it is, also when it was put back to an older copy"),
    why,
    json,
  },
  ({ metrics, plan, noPromote, from, to, accept, wipe, acceptLog, why, json }) => {
    const names = metrics.length === 0 ? {} : { metrics }
    if (wipe || acceptLog) {
      const days = from._tag === "Some" || to._tag === "Some"
      if (plan || noPromote || accept || days || metrics.length > 0) {
        const sentence = `Nothing was done: "rebuild --wipe" empties all tables and compares nothing, so it takes no metrics or days, and no --plan, --no-promote or --accept. Leave these out, or leave out --wipe (and --accept-log, which means it).`
        return Effect.fail(new CliFailure({ sentence, code: EXIT.badRequest }))
      }
      return withStore(
        Effect.flatMap(projectShowing("rebuild", { acceptLog }, json), (projected) => reportProjected(projected, json)),
      )
    }
    if (plan) {
      return withStore(
        Effect.flatMap(priceRebuild(names.metrics), (cost) =>
          json ? printJson(cost) : Console.log(costLines(cost).join("\n")),
        ),
      )
    }
    return withProvenStore(
      Effect.scoped(
        Effect.gen(function* () {
          const showing = yield* showingProjection(json)
          const days = { from: given(from), to: given(to) }
          const some = days.from === undefined && days.to === undefined ? {} : { days }
          const options = { ...names, ...some, ...showing, accept, promote: !noPromote, why: given(why) }
          const { comparisons, promoted } = yield* rebuild(options)
          if (json) return yield* printJson({ comparisons, promoted })
          for (const comparison of comparisons) yield* Console.log(comparisonLines(comparison).join("\n"))
          yield* Console.log(
            promoted
              ? "What was built answers from now on."
              : `What was built is ready; "tidemark metrics promote NAME" makes it live, "tidemark metrics drop NAME" gives it up.`,
          )
        }),
      ),
    )
  },
).pipe(
  Command.withDescription("Build metrics anew from the log beside what answers, compare every cell, and switch"),
  Command.withExamples([
    { command: "tidemark rebuild", description: "Get every metric back, identical, from the log" },
    { command: "tidemark rebuild signups --no-promote", description: "Build one, and look at it first" },
    { command: "tidemark rebuild revenue --from 2026-11-01 --to 2026-11-30", description: "Build one month anew" },
    { command: "tidemark rebuild --wipe", description: "Empty all tables and make them anew" },
  ]),
)
