import type { EachPerson } from "../../src/domain/measure/points.ts"

/** What each person did, to be looked at together. */
export const everyPersons = (each: EachPerson) => {
  const persons: Array<{ readonly times: ReadonlyArray<number>; readonly labels: ReadonlyArray<string> }> = []
  each(({ count, times, labels }) => {
    persons.push({ times: Array.from(times).slice(0, count), labels: Array.from(labels).slice(0, count) })
  })
  return persons
}
