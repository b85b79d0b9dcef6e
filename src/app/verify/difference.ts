import { formatDecimal, parseDecimal } from "../../domain/measure/decimal.ts"
import { buildName } from "../../domain/projection/buildName.ts"
import type { Build } from "../../domain/projection/ReadModel.ts"
import type { Cell } from "../../domain/projection/ReadModelQueries.ts"
import { formatDay } from "../../domain/time/calendar.ts"
import { asStored, partsOf } from "./oracleKey.ts"

/** A cell for which the read model and the oracle disagree; `null` = no such cell. */
export interface Difference {
  readonly metric: string
  readonly version: number
  /** What to ask for it by, such as `clicks@2`. */
  readonly build: string
  readonly date: string
  readonly item: string
  readonly stat: string
  readonly readModel: string | null
  readonly oracle: string | null
}

/** Compares cells of a build with those that the oracle gives it; `cells` is how many there are in either. */
export const compareWithOracle = (
  build: Build,
  cells: ReadonlyArray<Cell>,
  expected: ReadonlyMap<string, number | string>,
) => {
  const { name: metric, version } = build.definition
  const which = { metric, version, build: buildName(build) }
  const rest = new Map(Array.from(expected, ([key, right]) => [asStored(key), String(right)]))
  const differences: Array<Difference> = []
  for (const { day, item, stat, amount } of cells) {
    const date = formatDay(day)
    const key = `${date}|${item}|${stat}`
    const oracle = rest.get(key) ?? null
    rest.delete(key)
    const readModel = formatDecimal(parseDecimal(amount))
    if (oracle !== readModel) differences.push({ ...which, date, item, stat, readModel, oracle })
  }
  for (const [key, oracle] of rest) differences.push({ ...which, ...partsOf(key), readModel: null, oracle })
  return { cells: cells.length + rest.size, differences }
}
