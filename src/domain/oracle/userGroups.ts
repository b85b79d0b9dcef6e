import type { Event } from "../event/Event.ts"
import { compareCodePoints } from "./codePoints.ts"

/** The other user id of an `alias` or `unalias`, else `null`. The door takes ids that are numbers as their spelling. */
export const previousIdOf = ({ kind, body }: Event): string | null => {
  if (kind !== "alias" && kind !== "unalias") return null
  const previousId = Object.hasOwn(body, "previousId") ? body["previousId"] : undefined
  return typeof previousId === "string" || typeof previousId === "number" ? String(previousId) : null
}

interface Statement {
  readonly users: readonly [string, string]
  readonly time: number
  readonly joins: boolean
}

/**
 * The canonical user id of every user id that is joined with another (docs/explanation/identity.md): `alias` joins a pair, `unalias` takes
 * it back, the latest statement about a pair holds, and `unalias` wins at one instant. Users connected through pairs
 * are one person, named by the smallest of their ids.
 */
export const canonicalUsers = (events: ReadonlyArray<Event>): ReadonlyMap<string, string> => {
  const neighbours = new Map<string, Set<string>>()
  for (const { users, joins } of latestStatements(events)) {
    if (!joins) continue
    const [left, right] = users
    neighbours.set(left, (neighbours.get(left) ?? new Set()).add(right))
    neighbours.set(right, (neighbours.get(right) ?? new Set()).add(left))
  }
  const canonical = new Map<string, string>()
  for (const user of neighbours.keys()) {
    if (canonical.has(user)) continue
    const group = connectedTo(user, neighbours)
    const smallest = [...group].sort(compareCodePoints)[0]!
    for (const member of group) canonical.set(member, smallest)
  }
  return canonical
}

const latestStatements = (events: ReadonlyArray<Event>): Iterable<Statement> => {
  const latest = new Map<string, Statement>()
  for (const event of events) {
    const previousId = previousIdOf(event)
    if (previousId === null || event.userId === null || previousId === event.userId) continue
    const users = [previousId, event.userId].sort(compareCodePoints) as [string, string]
    const pair = JSON.stringify(users)
    const known = latest.get(pair)
    const joins = event.kind === "alias"
    if (known === undefined || event.time > known.time || (event.time === known.time && !joins)) {
      latest.set(pair, { users, time: event.time, joins })
    }
  }
  return latest.values()
}

const connectedTo = (start: string, neighbours: ReadonlyMap<string, ReadonlySet<string>>): ReadonlySet<string> => {
  const group = new Set([start])
  // A set may grow while it is iterated; what is added is visited too.
  for (const member of group) for (const neighbour of neighbours.get(member)!) group.add(neighbour)
  return group
}
