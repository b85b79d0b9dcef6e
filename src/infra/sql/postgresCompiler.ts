import { Statement } from "effect/sql"

const quote = Statement.defaultEscape('"')

/** Renders effect/sql statements for Postgres (`$1`, quoted identifiers); shared by all drivers that speak it. */
export const makePostgresCompiler = (): Statement.Compiler =>
  Statement.makeCompiler({
    dialect: "pg",
    placeholder: (number) => `$${number}`,
    onIdentifier: quote,
    onRecordUpdate: (placeholders, alias, columns, values, returning) => [
      `(values ${placeholders}) AS ${alias}${columns}${returning === undefined ? "" : ` RETURNING ${returning[0]}`}`,
      returning === undefined ? values.flat() : [...values.flat(), ...returning[1]],
    ],
    onCustom: () => ["", []],
  })
