import { Effect } from "effect"
import { layerSpooledTracker } from "../../src/app/spool/layerSpooledTracker.ts"
import { Tracker } from "../../src/app/Tracker.ts"

/**
 * A process that tracks events while the log is away, until it is killed: it prints the number of each event that was
 * made durable. `node spooler.ts URL PROJECT DIRECTORY`
 */
const [servers, project, directory] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const tracker = yield* Tracker
  for (let n = 0; ; n++) {
    yield* tracker.track({ event: "page_view", userId: "ada", id: `killed-${n}` })
    yield* tracker.flush
    process.stdout.write(`${n}\n`)
  }
})

await Effect.runPromise(
  program.pipe(
    Effect.provide(
      layerSpooledTracker({ servers: servers!, project: project! }, { directory: directory!, maxBytes: 2 ** 30 }),
    ),
  ),
)
