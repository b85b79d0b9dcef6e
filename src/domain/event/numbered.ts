/** An entry of a numbered list that a newer version appended: kept as its number, and named like this. */
export type Unknown = `unknown(${number})`

const PREFIX = "unknown("

/** What a number in the log stands for in a list that only ever grows. */
export const entryOf = <A extends string>(list: ReadonlyArray<A>, number: number): A | Unknown =>
  list[number] ?? `${PREFIX}${number})`

/** The number that {@link entryOf} was given. */
export const numberOf = (list: ReadonlyArray<string>, entry: string): number => {
  const number = list.indexOf(entry)
  return number >= 0 ? number : Number(entry.slice(PREFIX.length, -1))
}
