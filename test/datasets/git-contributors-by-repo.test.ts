import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { activeUsers } from "../../src/app/query/activeUsers.ts"
import { userDistinctId } from "../../src/domain/identity/distinctId.ts"
import { ReadModelQueries } from "../../src/domain/projection/ReadModelQueries.ts"
import { dailyOf } from "../support/daily.ts"
import {
  type Alias,
  countDaily,
  DATA,
  parseGitLine,
  readAliases,
  readGitLines,
  rootsOf,
} from "../support/gitContributors.ts"
import { hasShared } from "../support/shared.ts"
import { openStore, type TestStore } from "../support/store.ts"

const REPOS = [
  { repo: "git", users: 3591 },
  { repo: "u-boot", users: 5134 },
]

/**
 * Each project with its own aliases, in a store of its own: an alias of one says nothing of the other. Five ids that are
 * an alias in one project stand for themselves in the other, so the persons of both are 8,336, and 8,331 where all
 * aliases hold for both. One event of each user and day is enough to see that, and a tenth of all.
 */
describe.skipIf(!hasShared(DATA))("git-contributors, each project by itself", () => {
  /** Persons by the name that their project's alias file gives them. */
  const names = new Set<string>()

  describe.each(REPOS)("$repo", ({ repo, users }) => {
    let store: TestStore
    let lines: ReadonlyArray<string>
    let aliases: ReadonlyArray<Alias>

    beforeAll(async () => {
      const [header, ...all] = readGitLines()
      const onePerDay = new Map<string, string>()
      for (const line of all) {
        const { day, user, repo: of } = parseGitLine(line)
        if (of === repo) onePerDay.set(`${day} ${user}`, line)
      }
      lines = [header!, ...onePerDay.values()]
      aliases = readAliases().filter((alias) => alias.repo === repo)
      store = await openStore()
      // Who is who is known before anything happened here.
      const pairs = aliases.map(({ alias, canonical }) => `${canonical},${alias}`)
      const file = await store.write("aliases.csv", ["user_id,previous_id", ...pairs])
      await store.import(file, { eventName: "alias" })
      await store.import(await store.write("events.csv", lines))
      await store.project()
    })
    afterAll(() => store.close())

    it("counts persons a day", async () => {
      const roots = rootsOf(aliases)
      const expected = countDaily(lines, ({ user }) => roots(user))
      const answer = await store.run(activeUsers())
      expect(dailyOf(answer)).toEqual(expected.daily)
      expect(answer.total).toEqual({ users: expected.persons, events: lines.length - 1 })
    })

    it("knows who is who", async () => {
      const seen = new Set(lines.slice(1).map((line) => parseGitLine(line).user))
      expect(seen.size).toBe(users)
      const { rows } = await store.run(
        ReadModelQueries.use((queries) => queries.identities([...seen].map(userDistinctId))),
      )
      const members = new Map<number, Array<string>>()
      for (const { person, distinctId } of rows) {
        members.set(person, [...(members.get(person) ?? []), distinctId.slice("u:".length)])
      }
      const isAlias = new Set(aliases.map(({ alias }) => alias))
      for (const ids of members.values()) {
        const canonical = ids.filter((id) => !isAlias.has(id))
        expect(canonical).toHaveLength(1)
        names.add(canonical[0]!)
      }
    })
  })

  it("has 8,336 persons in both together", () => {
    expect(names.size).toBe(8336)
  })
})
