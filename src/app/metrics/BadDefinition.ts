import { Data } from "effect"

/** What is wrong with a definition, or with the file that should hold it. */
export interface DefinitionProblem {
  /** `null` where no file is at fault: a metric that was applied before, and that a change would break. */
  readonly file: string | null
  /** From 1; `null` where a file has no lines to tell, such as a program. */
  readonly line: number | null
  readonly metric: string | null
  /** A sentence. */
  readonly problem: string
}

/** `metrics.yaml:12, metric signups: …` */
export const problemText = ({ file, line, metric, problem }: DefinitionProblem): string => {
  const where = [
    ...(file === null ? [] : [line === null ? file : `${file}:${line}`]),
    ...(metric === null ? [] : [`metric ${metric}`]),
  ]
  return `${where.join(", ")}: ${problem}`
}

/** Definitions that can't be applied, or planned. */
export class BadDefinition extends Data.TaggedError("BadDefinition")<{
  readonly files: ReadonlyArray<string>
  readonly problems: ReadonlyArray<DefinitionProblem>
}> {
  override get message(): string {
    const head = `Nothing of ${this.files.join(", ")} can be applied:`
    const problems = this.problems.map(problemText)
    return problems.length === 1 ? `${head} ${problems[0]}` : [head, ...problems].join("\n")
  }
}
