import { readFileSync } from "node:fs"
import { Result } from "effect"
import { isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument } from "yaml"
import type { ValuePath } from "./describeIssue.ts"

/** What a file says, and where. */
export interface ReadValue {
  readonly value: unknown
  /** The line (from 1) of the deepest part of a path that is there; `null` where lines can't be told. */
  readonly lineOf: (path: ValuePath) => number | null
}

/** Why a file says nothing. */
export interface ReadProblem {
  readonly line: number | null
  readonly problem: string
}

/** Reads a file as YAML, of which JSON is a part. */
export const readYaml = (file: string): Result.Result<ReadValue, ReadProblem> => {
  const fail = (problem: string, line: number | null = null) => Result.fail({ line, problem })
  let text: string
  try {
    text = readFileSync(file, "utf8")
  } catch (cause) {
    return fail(`it can't be read (${reasonOf(cause)}).`)
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { prettyErrors: true, lineCounter: lines })
  const [error] = document.errors
  if (error !== undefined) {
    return fail(`it is not YAML: ${error.message.split("\n")[0]}`, error.linePos?.[0].line ?? null)
  }
  const nodeAt = (path: ValuePath): number => {
    let node: ParsedNode | null = document.contents
    let offset = node?.range[0] ?? 0
    for (const part of path) {
      if (isAlias(node)) node = (node.resolve(document) as ParsedNode | undefined) ?? null
      if (isMap<ParsedNode, ParsedNode | null>(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part))
        if (pair === undefined) break
        offset = pair.key.range[0]
        node = pair.value
      } else if (isSeq<ParsedNode>(node)) {
        const item: ParsedNode | undefined = node.items[Number(part)]
        if (item === undefined) break
        offset = item.range[0]
        node = item
      } else break
    }
    return offset
  }
  try {
    const value = document.toJS({ maxAliasCount: 100 }) as unknown
    return Result.succeed({ value, lineOf: (path) => lines.linePos(nodeAt(path)).line })
  } catch (cause) {
    return fail(`its aliases can't be followed (${reasonOf(cause)}).`)
  }
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
