import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { Analytics } from "../../Analytics.ts"
import { asking } from "../asking.ts"
import { asOf, given, json, optionalText } from "../options.ts"
import { printJson } from "../print.ts"
import { showExplanation } from "../showExplanation.ts"

export const explainCommand = Command.make(
  "explain",
  {
    metric: Argument.String("metric").pipe(Argument.withDescription("A metric that was applied, or a built-in one")),
    date: Argument.String("date").pipe(Argument.withDescription("Day: YYYY-MM-DD, today, yesterday or N_days_ago")),
    item: optionalText("item", "Value of the breakdown, step of a funnel, page, … (default: none)"),
    stat: optionalText("stat", "Statistic (default: users, events, sum or sessions, as the metric has)"),
    asOf,
    json,
  },
  ({ metric, date, item, stat, asOf, json }) =>
    asking(
      json,
      Analytics.use((analytics) =>
        analytics.explain(metric, { date, item: given(item), stat: given(stat), asOf: given(asOf) }),
      ).pipe(Effect.flatMap((explanation) => (json ? printJson(explanation) : showExplanation(explanation)))),
    ),
).pipe(
  Command.withDescription("What a number is made of: definition, persons, events, and what changed it since"),
  Command.withExamples([
    {
      command: "tidemark explain active_users 2026-10-31",
      description: "Who was active on a day, and by which events",
    },
    {
      command: "tidemark explain feature_adoption 2026-10-31 --item export",
      description: "One value of a breakdown",
    },
  ]),
)
