import pg from "pg"

type Parse = (text: string) => unknown

const { builtins } = pg.types

/**
 * How values of Postgres are read where the driver's own way differs from PGlite's, so that both adapters give the same:
 * 64-bit integers as numbers while these are exact, days as midnights of UTC and not of this machine's zone.
 */
const PARSERS: ReadonlyMap<number, Parse> = new Map<number, Parse>([
  [builtins.INT8, (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text))],
  [builtins.DATE, (text) => new Date(text)],
])

/** The driver's parsers of values, with ours where they differ. */
export const valueTypes: pg.CustomTypesConfig = {
  getTypeParser: (id: Parameters<typeof pg.types.getTypeParser>[0]) =>
    PARSERS.get(id) ?? pg.types.getTypeParser(id, "text"),
}
