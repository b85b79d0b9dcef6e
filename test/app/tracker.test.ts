import { Effect, Exit, Fiber, Layer, Latch, Logger, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, test } from "vitest"
import { LogWriter } from "../../src/app/LogWriter.ts"
import { Tracker, type TrackerOptions } from "../../src/app/Tracker.ts"
import { click, errorSeen, featureUsed, pageView, purchase } from "../../src/app/typedEvents.ts"
import { EVENT_BYTES_MAX } from "../../src/domain/event/size.ts"
import type { Event } from "../../src/domain/event/Event.ts"
import { LogUnavailable } from "../../src/domain/log/errors.ts"

/** The tracker alone, on a log that does what a test wants of it. */

interface Log {
  /** Calls of `append` that succeeded. */
  readonly appended: Array<ReadonlyArray<Event>>
  failing: boolean
  attempts: number
  /** When it is closed, appends wait for it to open. */
  readonly gate: Latch.Latch
}

const newLog = (): Log => ({ appended: [], failing: false, attempts: 0, gate: Latch.makeUnsafe(true) })

const layerOf = (log: Log) =>
  Layer.succeed(
    LogWriter,
    LogWriter.of({
      append: (events) =>
        Effect.gen(function* () {
          log.attempts++
          yield* log.gate.await
          if (log.failing) {
            return yield* new LogUnavailable({
              attempted: "append to the log",
              reason: "no space left",
              retryable: false,
            })
          }
          log.appended.push(events)
          return []
        }),
      appendTo: () => Effect.die("the tracker writes no control facts"),
    }),
  )

const run = <A, E>(log: Log, options: TrackerOptions, test: Effect.Effect<A, E, Tracker | Scope.Scope>): Promise<A> =>
  Effect.runPromise(
    test.pipe(
      Effect.scoped,
      Effect.provide(
        Tracker.layer(options).pipe(
          Layer.provide(layerOf(log)),
          Layer.provideMerge(Layer.merge(TestClock.layer(), Logger.layer([]))),
        ),
      ),
    ),
  )

const names = (log: Log) => log.appended.map((events) => events.map(({ name }) => name).join(""))

const track = (...events: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const tracker = yield* Tracker
    for (const event of events) yield* tracker.track({ event, userId: "ada" })
  })

const rejection = async (input: unknown) => {
  const log = newLog()
  const tracked = await run(
    log,
    { batchSize: 1 },
    Effect.result(Tracker.use((tracker) => tracker.track(input as { event: string }))),
  )
  expect(log.appended).toEqual([])
  const failure = Result.getOrThrow(Result.flip(tracked))
  expect(failure._tag).toBe("EventRejected")
  expect(failure.message).not.toContain("\n")
  return failure as { readonly reason: string; readonly detail: string; readonly message: string }
}

describe("batches", () => {
  test("an append for each full batch, in order; the rest waits", async () => {
    const log = newLog()
    await run(
      log,
      { batchSize: 3 },
      Effect.gen(function* () {
        yield* track("a", "b", "c", "d", "e", "f", "g")
        expect(names(log)).toEqual(["abc", "def"])
      }),
    )
    expect(names(log)).toEqual(["abc", "def", "g"])
  })

  test("the default is 100", async () => {
    const log = newLog()
    await run(
      log,
      {},
      Effect.gen(function* () {
        yield* track(...Array.from({ length: 199 }, () => "x"))
        expect(log.appended.map((events) => events.length)).toEqual([100])
      }),
    )
  })

  test("one that is not full goes when the interval is over", async () => {
    const log = newLog()
    await run(
      log,
      { batchSize: 100, flushIntervalMillis: 2000 },
      Effect.gen(function* () {
        yield* TestClock.adjust(0)
        yield* track("a", "b")
        yield* TestClock.adjust("1999 millis")
        expect(names(log)).toEqual([])
        yield* TestClock.adjust("1 millis")
        expect(names(log)).toEqual(["ab"])
        yield* track("c")
        yield* TestClock.adjust("2 seconds")
        expect(names(log)).toEqual(["ab", "c"])
        // Nothing waits, so nothing is appended.
        yield* TestClock.adjust("10 seconds")
        expect(log.attempts).toBe(2)
      }),
    )
  })

  test("the default interval is five seconds", async () => {
    const log = newLog()
    await run(
      log,
      {},
      Effect.gen(function* () {
        yield* TestClock.adjust(0)
        yield* track("a")
        yield* TestClock.adjust("4999 millis")
        expect(names(log)).toEqual([])
        yield* TestClock.adjust("1 millis")
        expect(names(log)).toEqual(["a"])
      }),
    )
  })

  test("flush appends what waits, and nothing when nothing does", async () => {
    const log = newLog()
    await run(
      log,
      {},
      Effect.gen(function* () {
        const { flush } = yield* Tracker
        yield* flush
        yield* track("a")
        yield* flush
        yield* flush
        expect(names(log)).toEqual(["a"])
        expect(log.attempts).toBe(1)
      }),
    )
  })

  test("flush waits for an append that is on its way", async () => {
    const log = newLog()
    await run(
      log,
      { batchSize: 2 },
      Effect.gen(function* () {
        log.gate.closeUnsafe()
        const tracking = yield* Effect.forkChild(track("a", "b"))
        yield* Effect.yieldNow
        const flushing = yield* Effect.forkChild((yield* Tracker).flush)
        yield* Effect.yieldNow
        expect(flushing.pollUnsafe()).toBeUndefined()
        yield* log.gate.open
        yield* Fiber.join(flushing)
        yield* Fiber.join(tracking)
        expect(names(log)).toEqual(["ab"])
      }),
    )
  })

  test("closing flushes", async () => {
    const log = newLog()
    await run(log, {}, track("a", "b"))
    expect(names(log)).toEqual(["ab"])
  })
})

describe("a log that can't be written", () => {
  test("keeps the events and their order, and says so to whoever flushes", async () => {
    const log = newLog()
    await run(
      log,
      { batchSize: 2 },
      Effect.gen(function* () {
        const { flush } = yield* Tracker
        log.failing = true
        // They are held, so the calls succeed: a caller who tried again would have them counted twice.
        yield* track("a", "b", "c")
        expect(Exit.isFailure(yield* Effect.exit(flush))).toBe(true)
        const failed = yield* Effect.flip(flush)
        expect(failed._tag).toBe("LogUnavailable")
        expect(failed.message).toBe("Could not append to the log: no space left.")
        expect(names(log)).toEqual([])
        log.failing = false
        yield* track("d")
        expect(names(log)).toEqual(["abcd"])
      }),
    )
    expect(names(log)).toEqual(["abcd"])
  })

  test("is tried again when the interval is over", async () => {
    const log = newLog()
    await run(
      log,
      { batchSize: 2, flushIntervalMillis: 1000 },
      Effect.gen(function* () {
        log.failing = true
        yield* track("a", "b", "c")
        yield* TestClock.adjust("3 seconds")
        log.failing = false
        expect(names(log)).toEqual([])
        yield* TestClock.adjust("1 second")
        expect(names(log)).toEqual(["abc"])
      }),
    )
  })

  test("is tried once a batch, not once an event", async () => {
    const log = newLog()
    await run(
      log,
      { batchSize: 10 },
      Effect.gen(function* () {
        log.failing = true
        yield* track(...Array.from({ length: 35 }, () => "x"))
        expect(log.attempts).toBe(3)
        log.failing = false
      }),
    )
    expect(log.appended.map((events) => events.length)).toEqual([35])
  })

  test("fills the queue, and no further: TrackerFull, and all that was accepted is kept", async () => {
    const log = newLog()
    await run(
      log,
      { batchSize: 2, queueMax: 5 },
      Effect.gen(function* () {
        log.failing = true
        yield* track("a", "b", "c", "d", "e")
        const full = yield* Effect.flip(track("f"))
        expect(full).toMatchObject({ _tag: "TrackerFull", held: 5 })
        expect(full.message).toMatch(/^The event was not accepted: 5 events are waiting/)
        log.failing = false
        yield* (yield* Tracker).flush
        yield* track("g")
      }),
    )
    expect(names(log)).toEqual(["abcde", "g"])
  })

  test("or that does not answer fills it too: what is on its way is held as well", async () => {
    const log = newLog()
    await run(
      log,
      { batchSize: 3, queueMax: 4 },
      Effect.gen(function* () {
        log.gate.closeUnsafe()
        const first = yield* Effect.forkChild(track("a", "b", "c"))
        yield* Effect.yieldNow
        expect(log.attempts).toBe(1)
        yield* track("d")
        expect(yield* Effect.flip(track("e"))).toMatchObject({ _tag: "TrackerFull", held: 4 })
        yield* log.gate.open
        yield* Fiber.join(first)
      }),
    )
    expect(names(log)).toEqual(["abc", "d"])
  })

  test("is no reason to interrupt an append: whoever is interrupted loses nothing", async () => {
    const log = newLog()
    await run(
      log,
      { batchSize: 2 },
      Effect.gen(function* () {
        log.gate.closeUnsafe()
        const tracking = yield* Effect.forkChild(track("a", "b"))
        yield* Effect.yieldNow
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(tracking))
        yield* Effect.yieldNow
        yield* log.gate.open
        yield* Fiber.join(interrupting)
      }),
    )
    expect(names(log)).toEqual(["ab"])
  })
})

describe("what is not accepted", () => {
  test("no name", async () => {
    expect((await rejection({ event: " ", userId: "ada" })).reason).toBe("name-missing")
    expect((await rejection({ userId: "ada" })).reason).toBe("name-missing")
    expect((await rejection({ event: 7 })).reason).toBe("name-missing")
  })

  test("what refers to itself", async () => {
    const properties: Record<string, unknown> = {}
    properties["self"] = { properties }
    const { reason, message } = await rejection({ event: "x", properties })
    expect(reason).toBe("not-json")
    expect(message).toMatch(
      /^The event was not accepted \(not-json\): It can't be written as JSON: Converting circular/,
    )
  })

  test("a BigInt", async () => {
    expect(await rejection({ event: "x", properties: { n: 1n } })).toMatchObject({
      reason: "not-json",
      detail: expect.stringContaining("BigInt"),
    })
  })

  test("more than half a megabyte", async () => {
    const { reason, detail } = await rejection({ event: "x", properties: { text: "é".repeat(EVENT_BYTES_MAX / 2) } })
    expect(reason).toBe("too-large")
    expect(detail).toMatch(new RegExp(`^It has 524\\d{3} bytes as JSON, and at most ${EVENT_BYTES_MAX} are taken\\.$`))
  })

  test("a time before 1970", async () => {
    expect((await rejection({ event: "x", timestamp: "1969-12-31T23:59:59Z" })).reason).toBe("time-before-1970")
  })

  test("an alias of one id", async () => {
    const failure = await run(
      newLog(),
      {},
      Effect.flip(Tracker.use((tracker) => tracker.alias({ userId: "ada", previousId: "" }))),
    )
    expect(failure).toMatchObject({ _tag: "EventRejected", reason: "alias-incomplete" })
  })
})

describe("what an event becomes", () => {
  const written = async (use: (tracker: Tracker["Service"]) => Effect.Effect<void, unknown>): Promise<Event> => {
    const log = newLog()
    await run(log, {}, Tracker.use(use))
    return log.appended[0]![0]!
  }

  test("its time is now, if it has none, and its id is one of its own", async () => {
    const log = newLog()
    await run(
      log,
      { flushIntervalMillis: 2_000_000_000_000 },
      Effect.gen(function* () {
        yield* TestClock.setTime(1_700_000_000_000)
        yield* track("a", "b")
      }),
    )
    const [a, b] = log.appended[0]!
    expect(a).toMatchObject({ time: 1_700_000_000_000, receivedAt: 1_700_000_000_000, userId: "ada", kind: "track" })
    expect(a!.id).toMatch(/^[0-9a-f-]{36}$/)
    expect(b!.id).not.toBe(a!.id)
  })

  test("its time and id are the caller's, if given; a Date is as good as a string", async () => {
    const event = await written((tracker) =>
      tracker.track({
        event: "x",
        id: "mine",
        timestamp: new Date(5),
        anonymousId: "d",
        sessionId: "s",
        context: { a: 1 },
      }),
    )
    expect(event).toMatchObject({ id: "mine", time: 5, userId: null, anonymousId: "d", sessionId: "s", warnings: [] })
    expect(event.body).toEqual({ context: { a: 1 } })
  })

  test.each([
    [
      "page",
      { name: "home", properties: { path: "/" } },
      "page_view",
      { properties: { path: "/", page_name: "home" } },
    ],
    ["screen", { name: "home" }, "screen_view", { name: "home", properties: { screen_name: "home" } }],
    ["identify", { userId: "ada", traits: { plan: "pro" } }, "identify", { traits: { plan: "pro" } }],
    ["group", { groupId: "acme", userId: "ada" }, "group", { groupId: "acme" }],
    ["alias", { previousId: "ada1", userId: "ada" }, "alias", { previousId: "ada1" }],
    ["unalias", { previousId: "ada1", userId: "ada" }, "unalias", { previousId: "ada1" }],
  ] as const)("%s", async (kind, input, name, body) => {
    const event = await written((tracker) => tracker[kind](input as never))
    expect(event).toMatchObject({ kind, name, body })
  })

  test("the typed helpers name their properties as the built-in metrics expect them", () => {
    const who = { userId: "ada", timestamp: 1 }
    expect(pageView({ ...who, url: "https://x", referrer: "r", pageName: "home" })).toEqual({
      ...who,
      event: "page_view",
      properties: { url: "https://x", referrer: "r", page_name: "home" },
    })
    expect(click({ ...who, elementId: "b", elementType: "button", elementText: "Go" })).toEqual({
      ...who,
      event: "click",
      properties: { element_id: "b", element_type: "button", element_text: "Go" },
    })
    expect(featureUsed({ ...who, featureName: "export", featureVersion: "2" })).toEqual({
      ...who,
      event: "feature_used",
      properties: { feature_name: "export", feature_version: "2" },
    })
    expect(purchase({ ...who, purchaseId: "p", amount: 9.5, currency: "EUR", items: [1] })).toEqual({
      ...who,
      event: "purchase",
      properties: { purchase_id: "p", amount: 9.5, currency: "EUR", items: [1] },
    })
    expect(errorSeen({ ...who, errorType: "T", errorMessage: "m", stackTrace: "s" })).toEqual({
      ...who,
      event: "error",
      properties: { error_type: "T", error_message: "m", stack_trace: "s" },
    })
  })
})
