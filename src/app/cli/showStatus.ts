import type { Position } from "../../domain/log/position.ts"
import { formatDuration } from "../../domain/time/duration.ts"
import type { GroupStatus } from "../status/groups.ts"
import type { Status } from "../status/status.ts"
import { counted, formatCount, formatSeconds, formatTable, visible } from "./print.ts"

/** What `status` found, as people read it. */
export const formatStatus = ({
  settings,
  partitions,
  groups,
  coordinator,
  balance,
  quarantine,
  sizes,
}: Status): string => {
  const forEver = (millis: number | null) => (millis === null ? "none" : formatDuration(millis))
  const waiting = Object.entries(quarantine.lines).map(([reason, lines]) => `${lines} ${reason}`)
  return [
    `time zone ${settings.timeZone}, weeks from ${settings.weekStart}, merge window ${forEver(settings.mergeWindowMillis)}, dedupe horizon ${forEver(settings.dedupeHorizonMillis)}`,
    "",
    formatTable(
      ["partition", "batches", "bytes", "accepted", "projected", "duplicates", "conflicts", "personless", "lag"],
      partitions.map((it) => [
        it.partition,
        it.batches,
        it.bytes,
        it.accepted,
        it.projected,
        it.duplicates,
        it.conflicts,
        it.personless,
        it.lag,
      ]),
    ),
    "",
    ...groups.flatMap((group) => [formatGroup(group), ""]),
    ...(coordinator === null
      ? []
      : [`The coordinator can't go on, since ${coordinator.since}: ${visible(coordinator.sentence)}`, ""]),
    formatBalance(balance),
    "",
    formatTable(
      ["distinct ids", "persons", "rows of facts", "cells"],
      [[sizes.distinctIds, sizes.persons, sizes.facts, sizes.cells]],
    ),
    "",
    `quarantine: ${waiting.length === 0 ? "empty" : waiting.join(", ")}${quarantine.failures === 0 ? "" : `; ${counted(quarantine.failures, "event")} that a metric could not fold`}`,
  ].join("\n")
}

const formatGroup = ({ group, counted: share, partitions }: GroupStatus): string => {
  const place = (position: Position | null) => (position === null ? "–" : `${position.partition}/${position.sequence}`)
  const table = formatTable(
    ["group", "partition", "position", "target", "behind", "oldest", "owner", "does", "events/s", "committed"],
    partitions.map((it) => [
      group,
      it.partition,
      place(it.position),
      place(it.target),
      `${it.lag.exact ? "" : "≈ "}${formatCount(it.lag.events)}`,
      it.lag.events === 0 ? "–" : formatSeconds(it.lag.seconds),
      it.owner ?? "nobody yet",
      it.phase ?? "–",
      it.eventsPerSecond === null ? "–" : formatCount(Math.round(it.eventsPerSecond)),
      it.committedAt ?? "never",
    ]),
  )
  const troubles = partitions.flatMap(({ partition, lag, pause, lastError }) => [
    ...(pause === null
      ? []
      : [`${group}/${partition} is paused (${pause.cause}), since ${pause.since}: ${visible(pause.sentence)}`]),
    ...(lastError === null || lastError.sentence === pause?.sentence
      ? []
      : [`${group}/${partition}, since ${lastError.since}: ${visible(lastError.sentence)}`]),
    ...(lag.problem === null ? [] : [`${group}/${partition}, ahead: ${visible(lag.problem)}`]),
  ])
  const counting =
    share === null
      ? []
      : [
          `${group}: persons are counted once everything is gathered, ${Math.floor(100 * share)} % so far; then it answers`,
        ]
  return [table, ...counting, ...troubles].join("\n")
}

const formatBalance = ({
  accepted,
  projected,
  duplicates,
  quarantined,
  lag,
  exact,
  holds,
}: Status["balance"]): string => {
  const terms = `accepted ${exact ? "" : "≈ "}${formatCount(accepted)} = projected ${formatCount(projected)} + duplicates ${formatCount(duplicates)} + quarantined ${formatCount(quarantined)} + behind ${exact ? "" : "≈ "}${formatCount(lag)}`
  return holds === false ? `${terms}: this does NOT add up; run "tidemark doctor"` : terms
}
