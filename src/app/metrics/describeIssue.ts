import type { SchemaAST, SchemaIssue } from "effect"
import { nearest } from "../../domain/nearest.ts"

/** Where in a value: names of fields, and places in lists from 0. */
export type ValuePath = ReadonlyArray<PropertyKey>

/** One thing that is wrong in a value. */
export interface ValueProblem {
  readonly path: ValuePath
  /** A sentence. */
  readonly problem: string
}

/** `formula.steps[1].event` */
export const pathText = (path: ValuePath): string =>
  path.map((part, n) => (typeof part === "number" ? `[${part}]` : `${n === 0 ? "" : "."}${String(part)}`)).join("")

/** The value at a path; `undefined` where there is none. */
const valueAt = (value: unknown, path: ValuePath): unknown =>
  path.reduce<unknown>(
    (at, part) =>
      typeof at === "object" && at !== null && Object.hasOwn(at, part)
        ? (at as Record<PropertyKey, unknown>)[part]
        : undefined,
    value,
  )

/** What a schema found wrong in a value, in the words of whoever wrote it, with the nearest name that there is. */
export const describeIssue = (issue: SchemaIssue.Issue, value: unknown): ReadonlyArray<ValueProblem> =>
  describeAt(issue, value, [], null)

const describeAt = (
  issue: SchemaIssue.Issue,
  value: unknown,
  path: ValuePath,
  /** The rule that was broken, where it has words of its own. */
  rule: string | null,
): ReadonlyArray<ValueProblem> => {
  const say = (problem: string) => [{ path, problem }]
  switch (issue._tag) {
    case "Pointer":
      return describeAt(issue.issue, value, [...path, ...issue.path], null)
    case "Composite":
      return issue.issues.flatMap((part) => describeAt(part, value, path, null))
    case "Filter":
    case "Encoding":
      return describeAt(issue.issue, value, path, issue._tag === "Filter" ? messageOf(issue.filter.annotations) : null)
    case "UnexpectedKey": {
      const key = String(path.at(-1))
      return say(`${pathText(path)} is not a field${suggestion(key, fieldsOf(issue.ast))}`)
    }
    case "MissingKey":
      return say(`${pathText(path)} is missing.`)
    case "AnyOf":
      return issue.issues.length > 0
        ? issue.issues.flatMap((part) => describeAt(part, value, path, null))
        : describeUnion(issue.ast, valueAt(value, path), path)
    case "InvalidType":
      return say(`${subject(path)} has to be ${typeName(issue.ast)}, and is ${shown(valueAt(value, path))}.`)
    default: {
      const words = rule ?? messageOf("annotations" in issue ? issue.annotations : undefined)
      const found = valueAt(value, path)
      if (words !== null) return say(`${subject(path)}: ${words}${isScalar(found) ? `, found ${shown(found)}` : ""}.`)
      return say(`${subject(path)} can't be ${shown(found)}.`)
    }
  }
}

/** A value that is none of several: names that are spelled out, or objects that differ in their `kind`. */
const describeUnion = (ast: SchemaAST.Union, found: unknown, path: ValuePath): ReadonlyArray<ValueProblem> => {
  const names = ast.types.flatMap((type) => (type._tag === "Literal" ? [String(type.literal)] : []))
  if (names.length === ast.types.length) {
    return [{ path, problem: `${subject(path)} can't be ${shown(found)}${suggestion(found, names)}` }]
  }
  const kinds = ast.types.flatMap(kindOf)
  if (kinds.length === ast.types.length) {
    if (typeof found !== "object" || found === null || Array.isArray(found)) {
      return [{ path, problem: `${subject(path)} has to be an object with a "kind", and is ${shown(found)}.` }]
    }
    const kind = valueAt(found, ["kind"])
    const at = [...path, "kind"]
    return kind === undefined
      ? [{ path: at, problem: `${pathText(at)} is missing; it is one of ${kinds.join(", ")}.` }]
      : [{ path: at, problem: `${pathText(at)} can't be ${shown(kind)}${suggestion(kind, kinds)}` }]
  }
  return [
    { path, problem: `${subject(path)} has to be ${ast.types.map(typeName).join(" or ")}, and is ${shown(found)}.` },
  ]
}

const kindOf = (type: SchemaAST.AST): ReadonlyArray<string> => {
  if (type._tag !== "Objects") return []
  const kind = type.propertySignatures.find(({ name }) => name === "kind")?.type
  return kind?._tag === "Literal" ? [String(kind.literal)] : []
}

const fieldsOf = (ast: SchemaAST.AST): ReadonlyArray<string> =>
  ast._tag === "Objects" ? ast.propertySignatures.map(({ name }) => String(name)) : []

const suggestion = (found: unknown, names: ReadonlyArray<string>): string => {
  const like = typeof found === "string" ? nearest(found, names) : null
  return like === null ? `; there are ${names.join(", ")}.` : `; did you mean ${like}?`
}

const subject = (path: ValuePath): string => (path.length === 0 ? "the definition" : pathText(path))

const messageOf = (annotations: unknown): string | null =>
  typeof annotations === "object" &&
  annotations !== null &&
  "message" in annotations &&
  typeof annotations.message === "string"
    ? annotations.message
    : null

const TYPE_NAMES: Readonly<Record<string, string>> = {
  String: "text",
  Number: "a number",
  Boolean: "true or false",
  Objects: "an object",
  Arrays: "a list",
}

const typeName = (ast: SchemaAST.AST): string => {
  if (ast._tag === "Literal") return `"${String(ast.literal)}"`
  if (ast._tag === "Union") return ast.types.map(typeName).join(" or ")
  return TYPE_NAMES[ast._tag] ?? "something else"
}

const isScalar = (value: unknown): boolean =>
  value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean"

const SHOWN_MAX = 80

const shown = (value: unknown): string => {
  if (value === undefined) return "nothing"
  if (Array.isArray(value)) return "a list"
  if (typeof value === "object" && value !== null) return "an object"
  if (typeof value !== "string") return isScalar(value) ? `${value as number}` : `a ${typeof value}`
  const text = JSON.stringify(value)
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text
}
