/** Statements that get a name: each costs every connection that runs it some memory of the server. */
const NAMES_MAX = 256

const names = new Map<string, string>()

/**
 * The name under which a statement is prepared, the same for all connections of this process; `undefined` for one too many.
 */
export const statementName = (text: string): string | undefined => {
  const known = names.get(text)
  if (known !== undefined || names.size === NAMES_MAX) return known
  const name = `tidemark_${names.size}`
  names.set(text, name)
  return name
}
