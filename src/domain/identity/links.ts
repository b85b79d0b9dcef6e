import { type Event, isKnownKind } from "../event/Event.ts"
import { jsonAt } from "../event/json.ts"
import { compareIds } from "./distinctId.ts"

/** A device's claim to an owner: the earliest event that carried both ids. */
export interface Link {
  /** Event time, ms. */
  readonly time: number
  readonly userId: string
}

/** The link that decides: the earlier, at one instant the smaller user id. Associative, commutative, idempotent. */
export const joinLinks = (a: Link | null, b: Link | null): Link | null => {
  if (a === null) return b
  if (b === null) return a
  if (a.time !== b.time) return a.time < b.time ? a : b
  return compareIds(a.userId, b.userId) <= 0 ? a : b
}

/** The link that an event makes, if it carries both ids and is of a kind that this version knows. */
export const linkOf = (event: Pick<Event, "kind" | "userId" | "anonymousId" | "time">): Link | null =>
  event.userId !== null && event.anonymousId !== null && isKnownKind(event.kind)
    ? { time: event.time, userId: event.userId }
    : null

/** What was last said of a pair of user ids: that they are one person, or that they are not. */
export interface AliasStatement {
  /** The smaller user id of the pair, then the greater. */
  readonly first: string
  readonly second: string
  /** Event time, ms. */
  readonly time: number
  readonly joined: boolean
}

/** The key of an unordered pair of user ids. */
export const statementKey = (statement: Pick<AliasStatement, "first" | "second">): string =>
  JSON.stringify([statement.first, statement.second])

/**
 * The statement that holds for a pair: the later by event time; at one instant taking back wins, so that a correction
 * can't lose a tie. Associative, commutative, idempotent.
 */
export const joinStatements = (a: AliasStatement, b: AliasStatement): AliasStatement =>
  a.time !== b.time ? (a.time > b.time ? a : b) : a.joined ? b : a

/** What an `alias` or `unalias` event says, or `null` for other events and for an id joined with itself. */
export const aliasStatementOf = (event: Pick<Event, "kind" | "userId" | "time" | "body">): AliasStatement | null => {
  if (event.kind !== "alias" && event.kind !== "unalias") return null
  const given = jsonAt(event.body, ["previousId"])
  if (event.userId === null || (typeof given !== "string" && typeof given !== "number")) return null
  const previousId = String(given)
  const order = compareIds(previousId, event.userId)
  if (order === 0) return null
  const [first, second] = order < 0 ? [previousId, event.userId] : [event.userId, previousId]
  return { first, second, time: event.time, joined: event.kind === "alias" }
}
