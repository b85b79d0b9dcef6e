import type { ActiveUsersAnswer } from "../../src/app/query/activeUsers.ts"
import { readCsv } from "./csv.ts"

/** Events and users of the days that have any; whether there is a row for every day is `hasEveryDay`. */
export type Daily = Readonly<Record<string, { readonly events: number; readonly users: number }>>

export const dailyOf = ({ rows }: ActiveUsersAnswer): Daily =>
  Object.fromEntries(
    rows.filter(({ events }) => events > 0).map(({ date, events, users }) => [date, { events, users }]),
  )

/** Whether a daily series has one row for each day from its first to its last, also where nothing happened. */
export const hasEveryDay = ({ rows, from, to }: ActiveUsersAnswer): boolean => {
  const days = rows.map(({ date }) => Date.parse(date) / 86_400_000)
  return rows[0]?.date === from && rows.at(-1)?.date === to && days.every((day, n) => day === days[0]! + n)
}

/** The daily facts of a dataset, from the columns that are named. */
export const readDaily = (file: string, columns: { readonly events: string; readonly users: string }): Daily =>
  Object.fromEntries(
    readCsv(file).map((row) => [
      row["day"]!,
      { events: Number(row[columns.events]), users: Number(row[columns.users]) },
    ]),
  )
