import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { listMetrics } from "../../../metrics/versions.ts"
import { json, withStore } from "../../options.ts"
import { formatTable, printJson } from "../../print.ts"

export const listCommand = Command.make("list", { json }, ({ json }) =>
  withStore(
    Effect.gen(function* () {
      const listed = yield* listMetrics()
      if (json) {
        const metrics = listed.map(({ definition, state, appliedAt }) => ({ ...definition, state, appliedAt }))
        return yield* printJson({ metrics })
      }
      yield* Console.log(
        formatTable(
          ["metric", "version", "tier", "kind", "state", "description"],
          listed.map(({ definition, state, depth }) => [
            `${"  ".repeat(depth)}${definition.name}`,
            definition.version,
            definition.tier ?? "",
            definition.formula.kind,
            state,
            definition.description ?? "",
          ]),
        ),
      )
    }),
  ),
).pipe(Command.withDescription("List metrics with their versions, as a tree of what drives what"))
