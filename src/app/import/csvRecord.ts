/**
 * Reads CSV records (RFC 4180) line by line: quoted fields may hold delimiters, doubled quotes and line breaks. As
 * spreadsheets do, it takes a quote inside an unquoted field, or text after a closing quote, as it stands.
 */
export class CsvRecord {
  readonly #delimiter: string
  #fields: Array<string> = []
  /** What a quoted field that is still open holds so far. */
  #quoted: string | null = null

  constructor(delimiter: string) {
    this.#delimiter = delimiter
  }

  /** Whether a quote is open, so that the next line belongs to the same record. */
  get isOpen(): boolean {
    return this.#quoted !== null
  }

  /** Takes the next line, without its line feed; the fields once the record is complete. */
  feed(line: string): ReadonlyArray<string> | undefined {
    if (this.#quoted === null && !line.includes('"')) return withoutReturn(line).split(this.#delimiter)
    let at = 0
    for (;;) {
      if (this.#quoted === null && line[at] === '"') {
        this.#quoted = ""
        at++
      }
      let start = ""
      if (this.#quoted !== null) {
        const closing = this.#takeQuoted(line, at)
        if (closing < 0) return undefined
        start = this.#quoted
        this.#quoted = null
        at = closing + 1
      }
      const end = line.indexOf(this.#delimiter, at)
      if (end < 0) {
        const fields = this.#fields
        fields.push(start + withoutReturn(line.slice(at)))
        this.#fields = []
        return fields
      }
      this.#fields.push(start + line.slice(at, end))
      at = end + this.#delimiter.length
    }
  }

  /** Drops what the record holds so far, and keeps only whether a quote is open. */
  forget(): void {
    this.#fields = []
    if (this.#quoted !== null) this.#quoted = ""
  }

  /** Goes past a line that is known only by its number of quotes. */
  skip(quotes: number): void {
    const open = this.isOpen !== (quotes % 2 === 1)
    this.#fields = []
    this.#quoted = open ? "" : null
  }

  /** Adds to the open field up to its closing quote, whose place it returns, or to the line's end (-1). */
  #takeQuoted(line: string, from: number): number {
    let at = from
    for (;;) {
      const quote = line.indexOf('"', at)
      if (quote < 0) {
        this.#quoted += `${line.slice(at)}\n`
        return -1
      }
      if (line[quote + 1] !== '"') {
        this.#quoted += line.slice(at, quote)
        return quote
      }
      this.#quoted += line.slice(at, quote + 1)
      at = quote + 2
    }
  }
}

const withoutReturn = (line: string): string => (line.endsWith("\r") ? line.slice(0, -1) : line)

/** What separates the fields of a header line: a comma, else a semicolon, else a tab; `undefined` if none does. */
export const delimiterOf = (headerLine: string): string | undefined => {
  const unquoted = headerLine.replaceAll(/"[^"]*"/g, "")
  return [",", ";", "\t"].find((delimiter) => unquoted.includes(delimiter))
}
