import { writeSync } from "node:fs"
import { Console, Effect, Layer } from "effect"
import { Command, Flag } from "effect/cli"
import { simulate, type SimulateOptions } from "../../../domain/simulate/simulate.ts"
import { Analytics } from "../../Analytics.ts"
import { appendDemo, SIGNUP_FUNNEL } from "../../demo.ts"
import { layerEmbedded } from "../../embedded.ts"
import { CliFailure, EXIT, sayingWhy, toCliFailure } from "../failure.ts"
import { configuration } from "../options.ts"
import { counted, formatCount } from "../print.ts"
import { makeProgress } from "../progress.ts"
import { projectShowing } from "../projecting.ts"
import { showActiveUsers, showAdoption, showFunnel } from "../showAnswers.ts"

const size = (users: number, days: number) => ({
  users: Flag.Int("users").pipe(Flag.withDescription("People of the made-up product"), Flag.withDefault(users)),
  days: Flag.Int("days").pipe(Flag.withDescription("Days that it runs"), Flag.withDefault(days)),
  seed: Flag.Int("seed").pipe(Flag.withDescription("The same seed gives the same events"), Flag.withDefault(1)),
})

/** Bytes written at once; a pipe's reader that stops, such as `head`, is noticed between two. */
const CHUNK_LENGTH = 64 * 1024

export const simulateCommand = Command.make("simulate", size(1000, 30), (options) =>
  Effect.gen(function* () {
    yield* checkOptions(options)
    yield* Effect.try({
      try: () => {
        let text = ""
        for (const event of simulate(options)) {
          text += `${JSON.stringify(event)}\n`
          if (text.length >= CHUNK_LENGTH) {
            writeAll(text)
            text = ""
          }
        }
        writeAll(text)
      },
      catch: (cause) =>
        new CliFailure({ sentence: `Could not write the events: ${String(cause)}.`, code: EXIT.failed }),
    }).pipe(
      Effect.catchIf(
        (failure) => failure.sentence.includes("EPIPE"),
        () => Effect.void,
      ),
    )
  }),
).pipe(
  Command.withDescription("Print a made-up product's events as NDJSON; the same options always give the same bytes"),
  Command.withExamples([
    {
      command: "tidemark simulate --users 50000 --days 30 --seed 1 | gzip > events.ndjson.gz",
      description: "About a million events",
    },
  ]),
)

/** Writes to standard output whatever its kind; a full pipe answers EAGAIN until its reader has caught up. */
const writeAll = (text: string): void => {
  const bytes = Buffer.from(text)
  for (let from = 0; from < bytes.length;) {
    try {
      from += writeSync(1, bytes, from)
    } catch (cause) {
      if (!(cause instanceof Error) || !("code" in cause) || cause.code !== "EAGAIN") throw cause
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}

const checkOptions = ({ users, days }: SimulateOptions): Effect.Effect<void, CliFailure> =>
  users >= 0 && days >= 1
    ? Effect.void
    : Effect.fail(
        new CliFailure({ sentence: "--users must be 0 or more, and --days 1 or more.", code: EXIT.badRequest }),
      )

export const demoCommand = Command.make(
  "demo",
  size(2000, 30),
  Effect.fn(function* (options) {
    yield* checkOptions(options)
    const directory = `${(yield* configuration).directory}-demo`
    const layer = Analytics.layer.pipe(Layer.provideMerge(layerEmbedded({ directory })))
    yield* sayingWhy(
      Effect.gen(function* () {
        const events = yield* Effect.scoped(
          Effect.gen(function* () {
            const progress = yield* makeProgress("Simulating")
            return yield* appendDemo(options, progress.report)
          }),
        )
        const { duplicates } = yield* projectShowing("project")
        const what = `${counted(events, "event")} of a made-up product with ${formatCount(options.users)} people`
        yield* Console.log(
          duplicates === events
            ? `${what} were in ${directory} before; they came again, and count once.\n`
            : `${what} are in ${directory}, ${formatCount(duplicates)} of them repeats that count once.\n`,
        )
        const analytics = yield* Analytics
        yield* showActiveUsers(yield* analytics.activeUsers())
        yield* Console.log("")
        yield* showAdoption(yield* analytics.adoption())
        yield* Console.log("")
        yield* showFunnel(yield* analytics.funnel({ name: SIGNUP_FUNNEL.name }))
        yield* Console.log(
          `\nLook around with --dir ${directory}, for example: query sessions --dir ${directory}, verify --dir ${directory}, rebuild --dir ${directory}`,
        )
      }),
    ).pipe(Effect.provide(layer), Effect.mapError(toCliFailure))
  }),
).pipe(Command.withDescription("Simulate a product, import it into a store of its own, and show its numbers"))
