import { Console, type Effect } from "effect"
import { versionName } from "../../domain/projection/buildName.ts"
import type { Listed } from "../explain/evidence.ts"
import type { Explanation } from "../explain/explain.ts"
import { counted, formatCount, formatTable, visible } from "./print.ts"

/** Rows of a list shown to a person; more are in `--json`. */
const ROWS_MAX = 15

/** A list as a table of its first rows, and how many there are where these are not all. */
const rowsOf = <A>(
  { count, listed }: Listed<A>,
  columns: ReadonlyArray<string>,
  row: (one: A) => ReadonlyArray<string | number | null>,
): ReadonlyArray<string> => {
  const shown = listed.slice(0, ROWS_MAX)
  return [
    ...(shown.length === 0 ? [] : [formatTable(columns, shown.map(row))]),
    ...(count > shown.length ? [`… the first ${shown.length} of ${formatCount(count)}.`] : []),
  ]
}

const idsOf = (ids: ReadonlyArray<string> | null): string => (ids === null ? "(nobody)" : ids.join(" "))

/** A number and what it is made of, as a person reads it. */
export const showExplanation = (explanation: Explanation): Effect.Effect<void> => {
  const { cell, definition, persons, events, since, settings, revisedAt, revisionCause, asOf } = explanation
  const { late, merges } = since
  const name = [cell.item, cell.stat].filter((part) => part !== "").join(" ")
  return Console.log(
    [
      `${visible(versionName(definition))} on ${cell.date}, ${visible(name)}: ${cell.amount}`,
      "",
      `definition   ${visible(JSON.stringify(definition))}`,
      `settings     ${visible(JSON.stringify(settings))}`,
      `revised      ${revisedAt === null ? "never, since it was published" : `last at ${revisedAt} (${revisionCause})`}`,
      `as of        ${asOf.cut}, logged until ${asOf.instant}`,
      "",
      `${counted(persons.count, "person")} ${persons.count === 1 ? "is" : "are"} behind it.`,
      ...rowsOf(persons, ["person", "adds"], ({ ids, contributes }) => [idsOf(ids), contributes]),
      "",
      `${counted(events.count, "event")} ${events.count === 1 ? "is" : "are"} behind it${events.repeats === 0 ? "" : `, ${formatCount(events.repeats)} of them repeats that add nothing`}.`,
      ...rowsOf(events, ["batch", "place", "id", "event", "happened", "received", "logged", ""], (it) => [
        it.batch,
        it.place,
        it.id,
        it.name,
        it.time,
        it.receivedAt,
        it.loggedAt,
        it.counts ? (it.late ? "late" : "") : "repeat",
      ]),
      "",
      `Since the day was over (${since.dayOver}), ${formatCount(late.count)} of these events reached the log, and ${formatCount(merges.count)} that say who these persons are.`,
      ...rowsOf(merges, ["batch", "place", "id", "says", "", "", "logged"], (it) => [
        it.batch,
        it.place,
        it.id,
        it.kind,
        it.ids[0],
        it.ids[1],
        it.loggedAt,
      ]),
    ].join("\n"),
  )
}
