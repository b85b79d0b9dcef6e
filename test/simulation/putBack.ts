import { Projector } from "../../src/app/projection/Projector.ts"
import { dump } from "./Books.ts"
import { everywhere, NAMES_DAMAGE, renamed, type Scene } from "./Scene.ts"
import { failureOf, write } from "./processes.ts"

/** An older copy is put back and written on, so that numbers are given again: the projection stops and says so. */
export const putBack = ({ world, servers, books, tail, random, runAlone }: Scene): void => {
  const { log, readModel } = servers
  const kept = random.between(0, log.records.length - 1)
  world.note(`! a copy with ${kept} of ${log.records.length} records is put back`)
  log.putBack(log.records.slice(0, kept))
  const more = random.between(0, 2)
  for (let n = 0; n < more; n++) {
    runAlone(
      "writer",
      write({ what: "events", events: random.chance(0.5) ? renamed(tail, `new ${n}`) : everywhere(tail, `new ${n}`) }),
    )
  }
  const before = dump(readModel.tables)
  const error = failureOf(
    runAlone(
      "judge",
      Projector.use((projector) => projector.project()),
    ),
  )
  if (error === null) books.violations.push(`a log put back to ${kept} records was not noticed`)
  else if (!NAMES_DAMAGE.includes(error._tag))
    books.violations.push(`a log put back was called ${error._tag}: ${error.message}`)
  if (dump(readModel.tables) !== before) books.violations.push("the tables were changed from a log that was put back")
}
