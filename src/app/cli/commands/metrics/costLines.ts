import { versionName } from "../../../../domain/projection/buildName.ts"
import type { BuildCost } from "../../../metrics/buildCost.ts"
import { counted, formatCount, formatSeconds } from "../../print.ts"

/** What building costs, before it is begun. */
export const costLines = ({ events, eventsPerSecond, minutes, rows }: BuildCost): ReadonlyArray<string> => [
  `Building reads ${counted(events, "event")}: about ${formatSeconds(Math.max(1, minutes * 60))} at ${formatCount(eventsPerSecond)} events/s, a rate that was not measured here.`,
  ...rows.map(({ metric, replaces }) =>
    replaces === null
      ? `${metric} has no rows yet; how many come is not known.`
      : `${versionName({ name: metric, version: replaces.version })} has ${counted(replaces.facts, "row")} of facts and ${counted(replaces.cells, "cell")}, which stay; about as many come.`,
  ),
]
