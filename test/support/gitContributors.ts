import type { Daily } from "./daily.ts"
import { readCsv, readLines } from "./csv.ts"
import { sharedPath } from "./shared.ts"

/** The dataset git-contributors as the tests recompute it: from its files, with none of the product's code. */

export const DATA = "data/git-contributors"
export const EVENTS_FILE = sharedPath(`${DATA}/events.csv.gz`)
export const ALIASES_FILE = sharedPath(`${DATA}/aliases.csv.gz`)

export interface Alias {
  readonly repo: string
  readonly alias: string
  readonly canonical: string
}

export const readAliases = (): ReadonlyArray<Alias> =>
  readCsv(ALIASES_FILE).map((row) => ({
    repo: row["repo"]!,
    alias: row["alias_user_id"]!,
    canonical: row["canonical_user_id"]!,
  }))

/** One line: event_id,ts,user_id,event,repo,commit_no,area. None has quotes. */
export const readGitLines = (): ReadonlyArray<string> => readLines(EVENTS_FILE)

export const parseGitLine = (line: string) => {
  const [, ts, user, , repo] = line.split(",")
  return { day: ts!.slice(0, 10), user: user!, repo: repo! }
}

/** Who stands for a user when all aliases are taken as joins: union-find. */
export const rootsOf = (aliases: ReadonlyArray<Alias>): ((user: string) => string) => {
  const parent = new Map<string, string>()
  const root = (user: string): string => {
    const next = parent.get(user)
    return next === undefined ? user : root(next)
  }
  for (const { alias, canonical } of aliases) {
    if (root(alias) !== root(canonical)) parent.set(root(alias), root(canonical))
  }
  return root
}

/** Persons in all, and persons and events a day; `lines` begin with the header. */
export const countDaily = (
  lines: ReadonlyArray<string>,
  personOf: (row: { readonly user: string; readonly repo: string }) => string,
): { readonly persons: number; readonly daily: Daily } => {
  const persons = new Set<string>()
  const days = new Map<string, { events: number; readonly persons: Set<string> }>()
  for (const line of lines.slice(1)) {
    const { day, user, repo } = parseGitLine(line)
    const person = personOf({ user, repo })
    let ofDay = days.get(day)
    if (ofDay === undefined) {
      ofDay = { events: 0, persons: new Set() }
      days.set(day, ofDay)
    }
    ofDay.events++
    ofDay.persons.add(person)
    persons.add(person)
  }
  return {
    persons: persons.size,
    daily: Object.fromEntries([...days].map(([day, { events, persons }]) => [day, { events, users: persons.size }])),
  }
}
