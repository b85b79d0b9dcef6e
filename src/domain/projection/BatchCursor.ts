import type { EventKind } from "../event/Event.ts"
import type { JsonObject } from "../event/json.ts"
import type { Batch } from "../log/batch.ts"
import type { ObservedEvent } from "../metric/filter.ts"

/** One event of a batch at a time as measures see it; the body is parsed once, and only if somebody asks. */
export class BatchCursor implements ObservedEvent {
  readonly #batch: Batch
  #place = 0
  #body: JsonObject | undefined

  constructor(batch: Batch) {
    this.#batch = batch
  }

  moveTo(place: number): void {
    this.#place = place
    this.#body = undefined
  }

  get name(): string {
    return this.#batch.names[this.#batch.nameIndex(this.#place)]!
  }

  get kind(): EventKind {
    return this.#batch.kind(this.#place)
  }

  get userId(): string | null {
    return this.#batch.users[this.#batch.userIndex(this.#place)] ?? null
  }

  get anonymousId(): string | null {
    return this.#batch.anonymous[this.#batch.anonymousIndex(this.#place)] ?? null
  }

  get sessionId(): string | null {
    return this.#batch.sessions[this.#batch.sessionIndex(this.#place)] ?? null
  }

  get time(): number {
    return this.#batch.times[this.#place]!
  }

  get receivedAt(): number | null {
    return this.#batch.receivedAt(this.#place)
  }

  get body(): JsonObject {
    this.#body ??= this.#batch.body(this.#place)
    return this.#body
  }
}
