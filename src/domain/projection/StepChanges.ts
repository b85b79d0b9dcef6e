import type { AliasStatement } from "../identity/links.ts"
import type { Identity } from "../identity/persons.ts"
import type { Fact, FactRow } from "../measure/Fact.ts"
import type { CellDelta } from "./CellSums.ts"

/** Facts per measure (in the order of the fold's measures) and identity key; absent means empty. */
export type KnownFacts = ReadonlyArray<ReadonlyMap<number, Fact>>

/**
 * Change of the fact of one distinct id in one measure: `rows`, which may be none and may be made anew each time they are asked
 * for, are joined to it, or take its place.
 */
export interface FactChange {
  readonly key: number
  readonly rows: Iterable<FactRow>
  readonly replaces: boolean
}

/** Everything that one step changes, per measure in the order of the fold's measures. */
export interface StepChanges {
  readonly identities: ReadonlyArray<Identity>
  readonly statements: ReadonlyArray<AliasStatement>
  readonly measures: ReadonlyArray<{
    readonly facts: ReadonlyArray<FactChange>
    readonly cells: ReadonlyArray<CellDelta>
  }>
}
