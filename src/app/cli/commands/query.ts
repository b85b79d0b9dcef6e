import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Analytics } from "../../Analytics.ts"
import { CliFailure, EXIT } from "../failure.ts"
import { asking } from "../asking.ts"
import { asOf, given, json, optionalText, range } from "../options.ts"
import { printJson } from "../print.ts"
import {
  showActiveUsers,
  showAdoption,
  showEvents,
  showFunnel,
  showMetric,
  showSessions,
  showUser,
} from "../showAnswers.ts"

/** Prints an answer as JSON or as a person reads it. */
const printAnswer = <A>(asJson: boolean, show: (answer: A) => Effect.Effect<void>) =>
  Effect.flatMap((answer: A) => (asJson ? printJson(answer) : show(answer)))

const eventFlag = optionalText("event", "Only events of this name")

const activeUsers = Command.make(
  "active-users",
  {
    ...range,
    asOf,
    interval: Flag.String("interval").pipe(
      Flag.withDescription("day, week, month or rolling-N (N days that end on each day)"),
      Flag.withDefault("day"),
    ),
    event: eventFlag,
    json,
  },
  ({ from, to, asOf, interval, event, json }) =>
    asking(
      json,
      Analytics.use((analytics) =>
        analytics.activeUsers({ from: given(from), to: given(to), asOf: given(asOf), interval, event: given(event) }),
      ).pipe(printAnswer(json, showActiveUsers)),
    ),
).pipe(
  Command.withDescription("Distinct persons and events per day, week, month or rolling window"),
  Command.withExamples([
    {
      command: "tidemark query active-users --interval week",
      description: "Weekly active users over all that is stored",
    },
    {
      command: "tidemark query active-users --interval rolling-30 --from 30_days_ago --to today --json",
      description: "Monthly active users as of each of the last days",
    },
  ]),
)

const adoption = Command.make(
  "adoption",
  { ...range, feature: optionalText("feature", "Only this feature"), asOf, json },
  ({ from, to, feature, asOf, json }) =>
    asking(
      json,
      Analytics.use((analytics) =>
        analytics.adoption({ from: given(from), to: given(to), asOf: given(asOf), feature: given(feature) }),
      ).pipe(printAnswer(json, showAdoption)),
    ),
).pipe(
  Command.withDescription("How many of the active persons use each feature"),
  Command.withExamples([
    { command: "tidemark query adoption --from 2026-01-01 --to 2026-01-31", description: "Adoption in January" },
  ]),
)

const funnel = Command.make(
  "funnel",
  {
    name: Argument.String("name").pipe(Argument.withDescription("A funnel that was applied"), Argument.optional),
    steps: optionalText("steps", "Event names, comma-separated, for a funnel that nobody applied"),
    window: optionalText("window", "Longest time from the first step on, such as 14d, 12h or none"),
    order: Flag.Literals("order", ["ordered"]).pipe(
      Flag.withDescription("Other events may lie between the steps"),
      Flag.withDefault("ordered"),
    ),
    ...range,
    asOf,
    json,
  },
  Effect.fn(function* ({ name, steps, window, order, from, to, asOf, json }) {
    if (Option.isSome(name) === Option.isSome(steps)) {
      const sentence = "Give either the name of a funnel, or --steps a,b,c."
      return yield* new CliFailure({ sentence, code: EXIT.badRequest })
    }
    if (Option.isSome(name) && Option.isSome(window)) {
      const sentence = "--window goes with --steps; an applied funnel has the window of its definition."
      return yield* new CliFailure({ sentence, code: EXIT.badRequest })
    }
    const formula = Option.map(steps, (list) => ({
      kind: "funnel",
      steps: list.split(",").map((event) => ({ event: event.trim() })),
      order,
      ...(Option.isSome(window) ? { window: window.value } : {}),
    }))
    yield* asking(
      json,
      Analytics.use((analytics) =>
        analytics.funnel({
          name: given(name),
          formula: given(formula),
          from: given(from),
          to: given(to),
          asOf: given(asOf),
        }),
      ).pipe(printAnswer(json, showFunnel)),
    )
  }),
).pipe(
  Command.withDescription("How far persons get through a sequence of steps, and how fast"),
  Command.withExamples([
    { command: "tidemark query funnel signup", description: "A funnel that was applied" },
    {
      command: "tidemark query funnel --steps page_view,sign_up,purchase --window 30d",
      description: "Any sequence, answered from the stored events",
    },
  ]),
)

const sessions = Command.make(
  "sessions",
  { ...range, gap: optionalText("gap", "Longest pause within a session (default 30m)"), asOf, json },
  ({ from, to, gap, asOf, json }) =>
    asking(
      json,
      Analytics.use((analytics) =>
        analytics.sessions({ from: given(from), to: given(to), asOf: given(asOf), gap: given(gap) }),
      ).pipe(printAnswer(json, showSessions)),
    ),
).pipe(
  Command.withDescription("Sessions per day of their start"),
  Command.withExamples([
    { command: "tidemark query sessions --gap 1h", description: "Sessions with pauses up to an hour" },
  ]),
)

const events = Command.make("events", { ...range, event: eventFlag, asOf, json }, ({ from, to, event, asOf, json }) =>
  asking(
    json,
    Analytics.use((analytics) =>
      analytics.events({ from: given(from), to: given(to), asOf: given(asOf), event: given(event) }),
    ).pipe(printAnswer(json, showEvents)),
  ),
).pipe(
  Command.withDescription("Events and persons per event name and day"),
  Command.withExamples([{ command: "tidemark query events --event purchase", description: "Purchases day by day" }]),
)

const user = Command.make(
  "user",
  { id: Argument.String("id").pipe(Argument.withDescription("A user id or an anonymous id")), ...range, asOf, json },
  ({ id, from, to, asOf, json }) =>
    asking(
      json,
      Analytics.use((analytics) => analytics.user(id, { from: given(from), to: given(to), asOf: given(asOf) })).pipe(
        printAnswer(json, showUser),
      ),
    ),
).pipe(
  Command.withDescription("What one person did, with all its ids"),
  Command.withExamples([{ command: "tidemark query user u-1024 --json", description: "One person's numbers" }]),
)

const metric = Command.make(
  "metric",
  {
    name: Argument.String("name").pipe(
      Argument.withDescription(
        "A metric, or an earlier or coming version of it: NAME, NAME@VERSION or NAME@VERSION.BUILD",
      ),
    ),
    ...range,
    asOf,
    json,
  },
  ({ name, from, to, asOf, json }) =>
    asking(
      json,
      Analytics.use((analytics) =>
        analytics.metric(name, { from: given(from), to: given(to), asOf: given(asOf) }),
      ).pipe(printAnswer(json, showMetric)),
    ),
).pipe(
  Command.withDescription("The numbers of any applied metric"),
  Command.withExamples([{ command: "tidemark query metric revenue", description: "Revenue per day and currency" }]),
)

export const queryCommand = Command.make("query").pipe(
  Command.withDescription("Ask for numbers"),
  Command.withSubcommands([activeUsers, adoption, funnel, sessions, events, user, metric]),
)
