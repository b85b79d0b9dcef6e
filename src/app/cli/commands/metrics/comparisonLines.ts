import type { Comparison } from "../../../change/compare.ts"
import type { PersonBehind } from "../../../change/personsBehind.ts"
import { counted, formatCount, formatTable, visible } from "../../print.ts"

/** Two builds of a metric side by side. */
export const comparisonLines = ({ build, live, expect, days, cells, differing, sums, biggest }: Comparison) => [
  `${build} beside ${live}: ${counted(cells.equal, "cell")} ${cells.equal === 1 ? "is" : "are"} equal, ${formatCount(cells.changed)} changed, ${formatCount(cells.added)} added, ${formatCount(cells.removed)} removed.`,
  ...(days === null ? [] : [`It was built for ${days.from} to ${days.to} only; the other days were taken over.`]),
  differing === 0
    ? expect === "same"
      ? "The numbers are the same, as expected."
      : "The numbers are the same; they were expected to differ."
    : `They differ on ${counted(cells.days, "day")}; ${expect === "same" ? "they were expected to be the same" : "that was expected"}.`,
  ...(differing === 0
    ? []
    : [
        "",
        formatTable(
          ["sum over all days", live, build],
          sums.map(({ stat, before, after }) => [stat, before, after]),
        ),
        "",
        "The biggest differences:",
        formatTable(
          ["date", "item", "stat", live, build],
          biggest.map(({ date, item, stat, before, after }) => [date, item, stat, before ?? "–", after ?? "–"]),
        ),
        ...biggest.flatMap(({ date, stat, item, persons }) =>
          persons.length === 0
            ? []
            : [
                "",
                `Persons behind ${date} ${item === "" ? "" : `${visible(item)} `}${visible(stat)}:`,
                ...persons.map(personLine),
              ],
        ),
      ]),
]

const personLine = ({ distinctIds, before, after, observedOnlyBefore, observedOnlyAfter }: PersonBehind): string =>
  [
    `  ${visible(distinctIds.join(", "))}: ${before} → ${after}`,
    ...(observedOnlyBefore.length === 0
      ? []
      : [`observed only by the one that is live: ${visible(observedOnlyBefore.join(", "))}`]),
    ...(observedOnlyAfter.length === 0 ? [] : [`observed only by this one: ${visible(observedOnlyAfter.join(", "))}`]),
  ].join("; ")
