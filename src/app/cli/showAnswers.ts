import { Console, Effect } from "effect"
import { versionName } from "../../domain/projection/buildName.ts"
import type { ActiveUsersAnswer } from "../query/activeUsers.ts"
import type { AdoptionAnswer } from "../query/adoption.ts"
import type { EventsAnswer } from "../query/events.ts"
import type { Frame } from "../query/frame.ts"
import type { FunnelAnswer } from "../query/funnel.ts"
import type { MetricAnswer } from "../query/metricAnswer.ts"
import type { SessionsAnswer } from "../query/sessions.ts"
import type { UserAnswer } from "../query/user.ts"
import {
  counted,
  formatBar,
  formatChart,
  formatCount,
  formatSeconds,
  formatShare,
  formatTable,
  visible,
} from "./print.ts"

/** Rows of a series shown to a person; all of them are in `--json`. */
const ROWS_MAX = 40

const BAR_WIDTH = 30

const chartWidth = (): number => Math.max(20, Math.min(100, (process.stdout.columns ?? 80) - 4))

const nameOf = ({ metric, version }: Pick<Frame, "metric" | "version">): string =>
  versionName({ name: metric, version })

const heading = (answer: Frame, what: string): string =>
  `${what}, ${answer.from} to ${answer.to} (${nameOf(answer)}, days of ${answer.timeZone})`

/** The last rows of a series; a long one is cut, and says so. */
const latest = <A>(
  rows: ReadonlyArray<A>,
): { readonly shown: ReadonlyArray<A>; readonly note: ReadonlyArray<string> } => ({
  shown: rows.slice(-ROWS_MAX),
  note:
    rows.length > ROWS_MAX
      ? [`… the last ${ROWS_MAX} of ${formatCount(rows.length)} rows; --json has all of them.`]
      : [],
})

const closing = ({ quality: { late, duplicate }, revisedAt, revisionCause, asOf }: Frame): ReadonlyArray<string> => [
  ...(late + duplicate === 0
    ? []
    : [`${formatShare(late)} of the events came late, ${formatShare(duplicate)} were repeats.`]),
  ...(revisedAt === null ? [] : [`Last revised ${revisedAt} (${revisionCause}).`]),
  ...(asOf.cut === null ? [] : [`As of ${asOf.cut}, logged until ${asOf.instant}.`]),
]

const print = (lines: ReadonlyArray<string>): Effect.Effect<void> => Console.log(lines.join("\n"))

export const showActiveUsers = (answer: ActiveUsersAnswer) => {
  const { shown, note } = latest(answer.rows)
  const what = answer.event === null ? "Active users" : `Users of "${visible(answer.event)}"`
  return print([
    heading(answer, `${what} per ${answer.interval}`),
    "",
    formatTable(
      ["date", "users", "events"],
      shown.map(({ date, users, events }) => [date, users, events]),
    ),
    ...note,
    "",
    formatChart(
      answer.rows.map(({ users }) => users),
      chartWidth(),
    ),
    `${counted(answer.total.users, "distinct person")}, ${counted(answer.total.events, "event")}.`,
    ...(answer.event !== null && answer.total.events === 0
      ? [`No activity "${visible(answer.event)}" is stored in this range; "tidemark query events" lists what is.`]
      : []),
    ...closing(answer),
  ])
}

export const showAdoption = (answer: AdoptionAnswer) =>
  print([
    heading(answer, "Feature adoption"),
    "",
    ...(answer.features.length === 0
      ? ["No such use of a feature (feature_used with a feature_name) is stored in this range.", ""]
      : []),
    formatTable(
      ["feature", "users", "of active", "uses", ""],
      answer.features.map(({ featureName, uniqueUsers, adoptionRate, usageCount }) => [
        featureName,
        uniqueUsers,
        formatShare(adoptionRate),
        usageCount,
        formatBar(adoptionRate ?? 0, BAR_WIDTH),
      ]),
    ),
    "",
    `${counted(answer.totalUsers, "person")} ${answer.totalUsers === 1 ? "was" : "were"} active.`,
    ...closing(answer),
  ])

export const showFunnel = (answer: FunnelAnswer) =>
  print([
    heading(answer, `Funnel ${visible(answer.funnel)}`),
    "",
    formatTable(
      ["step", "", "users", "of previous", "median time", "average time", ""],
      answer.steps.map(({ step, name, users, conversionRate, fromPrevious }) => [
        String(step),
        name,
        users,
        formatShare(conversionRate),
        fromPrevious === null ? null : formatSeconds(fromPrevious.medianSeconds),
        fromPrevious === null ? null : formatSeconds(fromPrevious.averageSeconds),
        formatBar(users / Math.max(1, answer.steps[0]!.users), BAR_WIDTH),
      ]),
    ),
    "",
    `${formatShare(answer.overallConversionRate)} of those who entered got to the end.`,
    ...answer.warnings.map((warning) => `Note: ${visible(warning)}`),
    ...closing(answer),
  ])

export const showSessions = (answer: SessionsAnswer) => {
  const { shown, note } = latest(answer.rows)
  const { total } = answer
  const top = (pages: SessionsAnswer["entryPages"]) =>
    pages
      .slice(0, 5)
      .map(({ page, sessions }) => `${visible(page)} (${formatCount(sessions)})`)
      .join(", ")
  return print([
    heading(answer, `Sessions (gap ${answer.gap})`),
    "",
    formatTable(
      ["date", "sessions", "users", "average", "median", "bounced", "events each"],
      shown.map((row) => [
        row.date,
        row.sessions,
        row.users,
        row.averageSeconds === null ? null : formatSeconds(row.averageSeconds),
        row.medianSeconds === null ? null : formatSeconds(row.medianSeconds),
        formatShare(row.bounceRate),
        row.eventsPerSession,
      ]),
    ),
    ...note,
    "",
    formatChart(
      answer.rows.map(({ sessions }) => sessions),
      chartWidth(),
    ),
    `${counted(total.sessions, "session")}, ${formatSeconds(total.averageSeconds ?? 0)} on average, ${formatShare(total.bounceRate)} bounced.`,
    ...(answer.entryPages.length > 0 ? [`Entered at ${top(answer.entryPages)}.`] : []),
    ...(answer.exitPages.length > 0 ? [`Left at ${top(answer.exitPages)}.`] : []),
    ...closing(answer),
  ])
}

export const showEvents = (answer: EventsAnswer) =>
  print([
    heading(answer, "Events"),
    "",
    formatTable(
      ["event", "events", "users"],
      answer.totals.map(({ event, events, users }) => [event, events, users]),
    ),
    ...(answer.totals.length === 0 ? ["None are stored in this range."] : []),
    ...answer.unknownKinds.map(
      ({ kind, events }) =>
        `${formatCount(events)} of kind ${kind} are no activity here: a newer Tidemark logged them. Upgrade, then "tidemark rebuild --wipe".`,
    ),
    ...closing(answer),
  ])

export const showUser = (answer: UserAnswer) =>
  print([
    heading(answer, `User ${visible(answer.userId)}`),
    "",
    `ids        ${answer.distinctIds.map(visible).join(", ")}`,
    `events     ${formatCount(answer.totalEvents)} on ${counted(answer.uniqueDays, "day")}, in ${counted(answer.sessionCount, "session")}`,
    `           ${counted(answer.pageViews, "page view")}, ${counted(answer.clicks, "click")}, ${counted(answer.purchases, "purchase")}`,
    `seen       ${answer.firstSeen ?? "never"} to ${answer.lastSeen ?? "never"}`,
    `features   ${
      Object.entries(answer.featureUsage)
        .map(([feature, uses]) => `${visible(feature)} (${formatCount(uses)})`)
        .join(", ") || "none"
    }`,
    ...closing(answer),
  ])

export const showMetric = (answer: MetricAnswer) => {
  const { shown, note } = latest(answer.rows)
  return print([
    heading(answer, `Metric ${answer.metric}`),
    "",
    formatTable(
      ["date", "value", "stat", "amount"],
      shown.map(({ date, value, stat, amount }) => [date, value, stat, amount]),
    ),
    ...note,
    "",
    ...answer.totals
      .slice(0, ROWS_MAX)
      .map(({ value, stat, amount }) => `${visible(value)} ${stat}: ${amount ?? "–"}`.trim()),
    ...(answer.uses.length === 0 ? [] : [`Made of ${answer.uses.map(nameOf).join(", ")}.`]),
    ...closing(answer),
  ])
}
