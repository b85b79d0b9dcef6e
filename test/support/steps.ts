import type { StepChanges } from "../../src/domain/projection/StepChanges.ts"
import { type Checkpoint, LIVE_GROUP, type Step } from "../../src/domain/projection/ReadModel.ts"

const checkpoint = (sequence: number): Checkpoint => ({
  position: { incarnation: "inc", partition: 0, sequence, batchId: `w.0.${sequence}` },
  chain: { w: { number: sequence, sum: "00112233445566778899aabbccddeeff", loggedAt: sequence } },
  logTime: 1_763_769_600_000 + sequence,
  counts: { projected: sequence, duplicates: 0, conflicts: 0, personless: 0 },
})

/** What {@link plainStep} changes: it adds one to a cell. */
export const PLAIN_CHANGES: StepChanges = {
  identities: [],
  statements: [],
  measures: [{ facts: [], cells: [{ day: 19_000, item: "", stat: "events", amount: "1", cause: "late-data" }] }],
}

/** A step that moves the checkpoint of partition 0, under the epoch of a claim. */
export const plainStep = (sequence: number, epoch: number): Step => ({
  group: LIVE_GROUP,
  partition: 0,
  epoch,
  expected: sequence === 1 ? null : checkpoint(sequence - 1).position,
  next: checkpoint(sequence),
  measures: [1],
  intake: [],
  dedupe: [],
  dedupeFrom: Number.NEGATIVE_INFINITY,
  duplicates: [],
  failures: [],
  revises: () => true,
})
