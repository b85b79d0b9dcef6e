import type { DistinctId } from "../identity/distinctId.ts"
import { compileMeasure } from "../measure/compile.ts"
import type { Measure } from "../measure/Measure.ts"
import { TimeZone } from "../time/TimeZone.ts"
import { CellChanges, type CellDelta } from "./CellSums.ts"
import { changeCells } from "./changeCells.ts"
import { changedIdentities, changeFacts } from "./changeFacts.ts"
import type { Gathered } from "./Fold.ts"
import type { CountedPortion, PersonCounter, Uncounted } from "./ReadModel.ts"
import { unchangedIdentities } from "./whoIsWho.ts"

/**
 * Counts persons whose facts were only gathered so far: a step that takes no events. Cells are summed up over all portions,
 * since most persons contribute to the same ones.
 */
export class PersonCount implements PersonCounter {
  readonly #nextLimit: (uncounted: Uncounted) => number
  #measures: ReadonlyArray<Measure> = []
  #cells: ReadonlyArray<CellChanges> = []

  /** Asked at each portion how many identities the next one may have. */
  constructor(nextLimit: (uncounted: Uncounted) => number) {
    this.#nextLimit = nextLimit
  }

  take(uncounted: Uncounted): CountedPortion {
    const { settings, measures, identities, facts } = uncounted
    const zone = TimeZone.of(settings.timeZone)!
    if (this.#measures.length === 0) {
      this.#measures = measures.map(({ definition }) => compileMeasure(definition, zone))
      this.#cells = measures.map(() => new CellChanges())
    }
    const counted = measures.map(() => uncounted.counted)
    const rules = { mergeWindowMillis: settings.mergeWindowMillis, zone }
    const resolved = unchangedIdentities(identities)
    const changed = changeFacts(NOTHING_GATHERED, resolved, facts, counted, rules)
    changeCells(this.#measures, resolved, changed, counted, this.#cells)
    return {
      identities: changedIdentities(changed, resolved),
      facts: changed.measures.map(({ changes }) => changes),
      nextLimit: this.#nextLimit(uncounted),
    }
  }

  cells(): ReadonlyArray<ReadonlyArray<CellDelta>> {
    return this.#cells.map((changes) => changes.deltas())
  }
}

const NOTHING_GATHERED: ReadonlyMap<DistinctId, Gathered> = new Map()
