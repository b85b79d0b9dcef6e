import { Projector } from "../../src/app/projection/Projector.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { CONTROL_PARTITION } from "../../src/domain/log/EventLog.ts"
import { agreedIn, batchOf } from "./Books.ts"
import { renamed, type Scene } from "./Scene.ts"
import { failureOf, write } from "./processes.ts"
import type { StoredRecord } from "./SimulatedLog.ts"

/** Records are removed at the front, and what comes after is projected all the same, repeats of what is gone too. */
export const retention = ({ world, servers, books, tail, random, runAlone, quiet }: Scene): void => {
  const { log, readModel } = servers
  // The control facts of a stream go as its other records do, so who cuts it off says them again first.
  const { settings, metrics } = agreedIn(log.records)
  const said = log.records.at(-1)!.sequence
  runAlone("operator", write({ what: "settings", settings }))
  runAlone("operator", write({ what: "metrics", definitions: metrics }))
  quiet()
  const before = [...log.records]
  const cut = random.between(2, said + 1)
  world.note(`! records before ${cut} are removed`)
  log.purgeBefore(cut)
  const gone = before.filter(({ sequence }) => sequence < cut)
  runAlone("writer", write({ what: "events", events: [...renamed(tail, "later"), ...sentOnce(before, gone)] }))
  const error = failureOf(
    runAlone(
      "judge",
      Projector.use((projector) => projector.project()),
    ),
  )
  if (error !== null) books.violations.push(`a healthy log is called damaged after retention: ${error.message}`)
  books.checkCells(readModel.tables, [...gone, ...log.records])
}

/** Events of records that are gone, whose ids came once. */
const sentOnce = (all: ReadonlyArray<StoredRecord>, gone: ReadonlyArray<StoredRecord>): ReadonlyArray<Event> => {
  const eventsOf = (records: ReadonlyArray<StoredRecord>) =>
    records.filter(({ partition }) => partition !== CONTROL_PARTITION).flatMap((record) => batchOf(record).events())
  const times = Map.groupBy(eventsOf(all), ({ id }) => id)
  return eventsOf(gone).filter(({ id }) => times.get(id)!.length === 1)
}
