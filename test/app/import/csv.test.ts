import { parse as parseCsv } from "csv-parse/sync"
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import { CsvRecord } from "../../../src/app/import/csvRecord.ts"
import { LineSplitter } from "../../../src/app/import/lines.ts"
import { RAW_LENGTH_MAX } from "../../../src/app/import/row.ts"
import { EVENT_BYTES_MAX } from "../../../src/domain/event/size.ts"
import { CSV, reasons, runOn } from "./fixtures.ts"

/** Records of CSV: which columns say what, how records are read, and which are turned away. */

describe("CSV", () => {
  test("columns are found by name; the others become properties", async () => {
    const outcome = await runOn(
      "Event_ID,TS,USER_ID,device_id,event,session_id,plan,seats,price,code,trial,paid\n" +
        "7,2025-01-01T10:00:00Z,u1,d1,click,s1,pro,3,1.50,007,true,False\n" +
        "8,2025-01-01T10:00:00Z,,,click,,,-2.5,1e3,-0,false,\n",
    )
    expect(outcome.events).toMatchObject([
      { id: "7", userId: "u1", anonymousId: "d1", sessionId: "s1", kind: "track", name: "click" },
      { id: "8", userId: null, anonymousId: null, sessionId: null, warnings: [] },
    ])
    expect(outcome.events.map((event) => event.body)).toEqual([
      {
        properties: {
          plan: "pro",
          seats: 3,
          price: "1.50",
          code: "007",
          trial: true,
          paid: "False",
        },
      },
      { properties: { seats: -2.5, price: "1e3", code: "-0", trial: false } },
    ])
  })

  test("of several fitting columns the first of the documented order is taken", async () => {
    const outcome = await runOn("created_at,timestamp,name,event,user,user_id\n1,2025-01-01,N,E,x,u\n")
    expect(outcome.events).toMatchObject([{ name: "E", userId: "u", time: Date.parse("2025-01-01") }])
    expect(outcome.events[0]?.body).toEqual({
      properties: { created_at: 1, name: "N", user: "x" },
    })
  })

  test("the column name is the event's only where --event does not say it", async () => {
    const contents = "ts,name\n2025-01-01,Ann\n"
    expect((await runOn(contents)).events[0]?.name).toBe("Ann")
    const named = (await runOn(contents, { eventName: "visit" })).events[0]
    expect(named).toMatchObject({ name: "visit", body: { properties: { name: "Ann" } } })
  })

  test("a map wins over names, and takes its columns away from them", async () => {
    const outcome = await runOn("ts,when,user_id,what\n1999-01-01,2025-01-01,d7,tap\n", {
      map: { time: "when", anonymous: "user_id", event: "WHAT" },
    })
    expect(outcome.events).toMatchObject([
      { name: "tap", userId: null, anonymousId: "d7", time: Date.parse("2025-01-01") },
    ])
    expect(outcome.events[0]?.body).toEqual({ properties: { ts: "1999-01-01" } })
  })

  test("quoted fields hold delimiters, quotes and line breaks; lines are counted as they stand", async () => {
    const outcome = await runOn(
      'ts,event,text\r\n2025-01-01,a,"one, ""two""\r\nthree"\r\n\r\n2025-01-01,,x\r\n"2025-01-01","b",5" disk\r\n',
    )
    expect(outcome.events.map((event) => event.body)).toEqual([
      { properties: { text: 'one, "two"\r\nthree' } },
      { properties: { text: '5" disk' } },
    ])
    expect(reasons(outcome)).toEqual([[5, "name-missing"]])
  })

  test("a wrong number of fields is rejected with the record as it stood", async () => {
    const outcome = await runOn('ts,event,x\n2025-01-01,a\n2025-01-01,"a\nb",1,2\n2025-01-01,c,1\n')
    expect(outcome.rejected).toMatchObject([
      { line: 2, raw: "2025-01-01,a", rejection: { reason: "columns-mismatch" } },
      { line: 3, raw: '2025-01-01,"a\nb",1,2', rejection: { reason: "columns-mismatch" } },
    ])
    expect(outcome.rejected[1]?.rejection.detail).toBe("The record has 4 fields, and the header names 3 columns.")
    expect(outcome.events.map((event) => event.name)).toEqual(["c"])
  })

  test("a file that ends in the middle of a record is told", async () => {
    expect(reasons(await runOn('ts,event,x\n2025-01-01,a,1\n2025-01-01,b,"open\nstill\n'))).toEqual([
      [3, "line-incomplete"],
    ])
    expect(reasons(await runOn("ts,event,x\n2025-01-01,a,1\n2025-01-01,b"))).toEqual([[3, "line-incomplete"]])
    expect((await runOn("ts,event,x\n2025-01-01,a,1\n2025-01-01,b,2")).events).toHaveLength(2)
  })

  test("a record of 2 MB is too large, on one line or on many, and the next record counts", async () => {
    const line2MB = "x".repeat(2 * 1024 * 1024)
    const lines2MB = `${"x".repeat(99)}\n`.repeat(21_000)
    for (const text of [line2MB, `"${line2MB}"`, `"${lines2MB}"`, `"a\n${line2MB}\nb"`, `"""${line2MB}\n,b"`]) {
      const outcome = await runOn(`ts,event,x\n2025-01-01,a,${text}\n2025-01-01,b,1\n`)
      expect(reasons(outcome)).toEqual([[2, "too-large"]])
      expect(outcome.rejected[0]?.raw.startsWith(`2025-01-01,a,${text.slice(0, 2)}`)).toBe(true)
      expect(outcome.rejected[0]?.raw.length).toBeLessThanOrEqual(RAW_LENGTH_MAX)
      expect(outcome.events.map((event) => event.name)).toEqual(["b"])
    }
  })

  test("a record that is too large is not held", () => {
    const record = new CsvRecord(",")
    expect(record.feed('a,"b')).toBeUndefined()
    record.forget()
    expect(record.isOpen).toBe(true)
    expect(record.feed('c",d')).toEqual(["c", "d"])
  })

  test("times are judged as in JSON", async () => {
    const outcome = await runOn(
      ["ts,event", "0,a", "1735689600,a", ",a", "20250101,a", "-1735689600,a", "2100-01-01,a", "1969-12-31,a"].join(
        "\n",
      ),
    )
    expect(outcome.events.map((event) => event.time)).toEqual([0, 1_735_689_600_000])
    expect(reasons(outcome)).toEqual([
      [4, "time-missing"],
      [5, "time-unreadable"],
      [6, "time-before-1970"],
      [7, "time-in-future"],
      [8, "time-before-1970"],
    ])
  })

  test("identity calls are told by the event's name; page views stay tracked events", async () => {
    const outcome = await runOn(
      [
        "ts,event,user_id,device_id,previous_id,company",
        "2025-01-01,identify,u1,d1,,",
        "2025-01-01,alias,u1,,u0,",
        "2025-01-01,unalias,u1,,u0,",
        "2025-01-01,group,u1,,,c1",
        "2025-01-01,page_view,u1,,,",
      ].join("\n"),
      { map: { group: "company" } },
    )
    expect(outcome.events.map((event) => event.kind)).toEqual(["identify", "alias", "unalias", "group", "track"])
    expect(outcome.events[1]?.body).toMatchObject({ previousId: "u0" })
    expect(outcome.events[3]?.body).toMatchObject({ groupId: "c1" })
  })

  test("a kind column is taken at its word", async () => {
    const outcome = await runOn("ts,event,what\n2025-01-01,alias,track\n2025-01-01,,page\n2025-01-01,tap,\n", {
      map: { kind: "what" },
    })
    expect(outcome.events.map(({ kind, name }) => [kind, name])).toEqual([
      ["track", "alias"],
      ["page", "page_view"],
      ["track", "tap"],
    ])
  })

  test("an alias file needs no time", async () => {
    const outcome = await runOn("repo,old,new\ngit,u1,u2\n", {
      eventName: "alias",
      map: { previous: "old", user: "new" },
    })
    expect(outcome.events).toMatchObject([{ kind: "alias", userId: "u2", body: { previousId: "u1" } }])
    const byColumn = await runOn("event,previous_id,user_id\nalias,u1,u2\nclick,,u2\n")
    expect(byColumn.events).toHaveLength(1)
    expect(byColumn.error).toMatchObject({ _tag: "ColumnNeeded", key: "time" })
    expect((await runOn("old,new\nu1,u2\n", { eventName: "alias" })).error).toMatchObject({
      key: "previous",
    })
  })

  test("what a file can't do without is asked for", async () => {
    const nameless = await runOn("ts,user_id\n2025-01-01,u1\n")
    expect(nameless.error?._tag).toBe("ColumnNeeded")
    expect(nameless.error?.message).toContain("Pass --event NAME or --map event=COL.")
    expect(nameless.error?.message).toContain("ts, user_id")
    const timeless = await runOn("when,user_id,event\n2025-01-01,u1,a\n")
    expect(timeless.error?.message).toContain("Pass --map time=COL.")
  })

  test("mapped columns that don't exist are named, with the nearest and all that exist", async () => {
    const { error } = await runOn(CSV, { map: { time: "tss", user: "user-id", session: "xyzzy" } })
    expect(error?._tag).toBe("ColumnsNotFound")
    expect(error?.message).toContain(
      "time=tss (did you mean ts?), user=user-id (did you mean user_id?), session=xyzzy.",
    )
    expect(error?.message).toContain("Its columns are: ts, user_id, event, plan.")
  })

  test("a header that names a column twice, or never ends, is refused", async () => {
    const twice = await runOn("ts,event,x,x\n2025-01-01,a,1,2\n")
    expect(twice.error).toMatchObject({ _tag: "ColumnsDuplicated", duplicated: ["x"] })
    expect((await runOn('ts,event,"x\n2025-01-01,a,1\n')).error?._tag).toBe("HeaderUnreadable")
    expect((await runOn(`ts,event,${"x".repeat(EVENT_BYTES_MAX)}\n`)).error?._tag).toBe("HeaderUnreadable")
  })

  test("a column called __proto__ is a property like any other", async () => {
    const outcome = await runOn("ts,event,__proto__\n2025-01-01,a,5\n")
    expect(JSON.stringify(outcome.events[0]?.body)).toBe(`{"properties":{"__proto__":5}}`)
  })

  test("any well-formed CSV, cut into blocks anywhere, reads as csv-parse reads it (500 runs)", () => {
    const field = fc.string({
      unit: fc.constantFrom("a", "7", " ", ",", ";", '"', "\n", "\r\n", "é", "😀"),
      maxLength: 8,
    })
    const quote = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
    fc.assert(
      fc.property(
        fc.array(fc.array(field, { minLength: 1, maxLength: 4 }), { maxLength: 8 }),
        fc.constantFrom("\n", "\r\n"),
        fc.boolean(),
        fc.integer({ min: 1, max: 12 }),
        (records, lineEnd, alwaysQuote, blockBytes) => {
          const text = records
            .map((fields) => fields.map((text) => (alwaysQuote ? `"${text.replaceAll('"', '""')}"` : quote(text))))
            .map((fields) => fields.join(",") + lineEnd)
            .join("")
          const reader = new CsvRecord(",")
          const found: Array<ReadonlyArray<string>> = []
          const splitter = new LineSplitter({
            line: (line) => {
              const fields = reader.feed(line)
              if (fields !== undefined) found.push(fields)
            },
            longLine: () => expect.unreachable(),
          })
          const bytes = Buffer.from(text)
          for (let at = 0; at < bytes.length; at += blockBytes) splitter.push(bytes.subarray(at, at + blockBytes))
          splitter.finish()
          expect(found).toEqual(parseCsv(text, { record_delimiter: lineEnd, relax_column_count: true }))
        },
      ),
      { numRuns: 500 },
    )
  })
})
