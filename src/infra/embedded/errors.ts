import { Data } from "effect"

/** Another process has the store open. */
export class StoreInUse extends Data.TaggedError("StoreInUse")<{
  readonly directory: string
  readonly pid: number | null
}> {
  override get message(): string {
    const owner = this.pid === null ? "another process" : `process ${this.pid}`
    return `The store ${this.directory} is in use by ${owner}. One process at a time can open an embedded store; wait for it, stop it, or use another directory (--dir).`
  }
}

/** The store's directory or a file in it can't be opened. */
export class StoreUnavailable extends Data.TaggedError("StoreUnavailable")<{
  readonly directory: string
  readonly reason: string
}> {
  override get message(): string {
    return `The store ${this.directory} can't be opened: ${this.reason}.`
  }
}

/** A newer Tidemark made this store. */
export class StoreNewer extends Data.TaggedError("StoreNewer")<{
  readonly directory: string
  readonly found: number
  readonly known: number
}> {
  override get message(): string {
    return `The store ${this.directory} has format ${this.found}; this version of Tidemark knows up to format ${this.known}. Upgrade Tidemark, or use another directory (--dir).`
  }
}
