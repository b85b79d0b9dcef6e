import { Console, type Effect } from "effect"
import { versionName } from "../../domain/projection/buildName.ts"
import type { Explanation } from "../explain/explain.ts"
import { formatCount, formatTable, visible } from "./print.ts"

/** Rows of a list shown to a person; more are in `--json`. */
const ROWS_MAX = 15

/** What of a list is not shown. */
const rest = (count: number, listed: ReadonlyArray<unknown>): ReadonlyArray<string> =>
  count > Math.min(listed.length, ROWS_MAX)
    ? [`… the first ${Math.min(listed.length, ROWS_MAX)} of ${formatCount(count)}.`]
    : []

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
      `${formatCount(persons.count)} persons are behind it.`,
      ...(persons.listed.length === 0
        ? []
        : [
            formatTable(
              ["person", "adds"],
              persons.listed.slice(0, ROWS_MAX).map(({ ids, contributes }) => [idsOf(ids), contributes]),
            ),
          ]),
      ...rest(persons.count, persons.listed),
      "",
      `${formatCount(events.count)} events are behind it${events.repeats === 0 ? "" : `, ${formatCount(events.repeats)} of them repeats that add nothing`}.`,
      ...(events.listed.length === 0
        ? []
        : [
            formatTable(
              ["batch", "place", "id", "event", "happened", "received", "logged", ""],
              events.listed
                .slice(0, ROWS_MAX)
                .map((it) => [
                  it.batch,
                  it.place,
                  it.id,
                  it.name,
                  it.time,
                  it.receivedAt,
                  it.loggedAt,
                  it.counts ? (it.late ? "late" : "") : "repeat",
                ]),
            ),
          ]),
      ...rest(events.count, events.listed),
      "",
      `Since the day was over (${since.dayOver}), ${formatCount(late.count)} of these events reached the log, and ${formatCount(merges.count)} that say who these persons are.`,
      ...(merges.listed.length === 0
        ? []
        : [
            formatTable(
              ["batch", "place", "id", "says", "", "", "logged"],
              merges.listed
                .slice(0, ROWS_MAX)
                .map((it) => [it.batch, it.place, it.id, it.kind, it.ids[0], it.ids[1], it.loggedAt]),
            ),
          ]),
      ...rest(merges.count, merges.listed),
    ].join("\n"),
  )
}
