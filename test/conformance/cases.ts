import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type { JsonObject } from "../../src/domain/event/json.ts"
import { sharedPath } from "../support/shared.ts"

/** Cases as ../shared/conformance has them; its README says what the fields mean. */

export interface CaseCondition {
  readonly scope: string
  readonly property: string
  readonly op: string
  readonly values: ReadonlyArray<string>
}

export interface CaseStep {
  readonly event: string
  readonly where?: ReadonlyArray<CaseCondition>
}

export interface CaseEvent {
  readonly distinctId: string
  readonly event: string
  readonly timestamp: string
  readonly properties?: JsonObject
  readonly messageId?: string
}

export interface FunnelQuery {
  readonly kind: "funnel"
  readonly order: string
  readonly steps: ReadonlyArray<CaseStep>
  readonly window: { readonly value: number; readonly unit: string }
  readonly unit: string
  readonly range?: CaseRange
  readonly exclusions?: ReadonlyArray<CaseStep & { readonly fromStep: number; readonly toStep: number }>
  readonly counting?: string
  readonly reentry?: string
  readonly graceSeconds?: number
}

export interface WindowFunnelQuery {
  readonly kind: "windowFunnel"
  /** In the unit of the events' `time`, which is a second in all cases. */
  readonly window: number
  readonly modes: ReadonlyArray<string>
  readonly steps: ReadonlyArray<string | number>
}

export interface ActiveUsersQuery {
  readonly kind: "activeUsers"
  readonly metric: "dau" | "wau" | "mau" | "total"
  readonly event: string
  readonly interval: "day" | "week"
  readonly range?: CaseRange
  readonly points?: ReadonlyArray<string>
  readonly aggregate?: boolean
  readonly breakdown?: string
}

export interface SessionsQuery {
  readonly kind: "sessions"
  readonly method: string
  readonly timeoutSeconds?: number
  readonly resetAtMidnight?: boolean
  readonly property?: string
}

export interface IdentityQuery {
  readonly kind: "identity"
  readonly log: ReadonlyArray<{
    readonly op: string
    readonly distinctId: string
    readonly anonymousId?: string
    readonly alias?: string
  }>
}

export interface IdentityResolutionQuery {
  readonly kind: "identityResolution"
  readonly model: string
}

export interface EventTimeQuery {
  readonly kind: "eventTime"
  readonly timestamp: string
  readonly sentAt?: string
  readonly receivedAt: string
}

export interface DedupQuery {
  readonly kind: "dedup"
  readonly key: ReadonlyArray<string>
  readonly seen?: ReadonlyArray<string>
  readonly input: ReadonlyArray<{ readonly messageId: string }>
}

export type Query =
  | FunnelQuery
  | WindowFunnelQuery
  | ActiveUsersQuery
  | SessionsQuery
  | IdentityQuery
  | IdentityResolutionQuery
  | EventTimeQuery
  | DedupQuery

export interface CaseRange {
  readonly from: string
  readonly to: string
}

export type IdentityOperation =
  | { readonly op: "merge"; readonly afterEvents?: boolean; readonly from: string; readonly into: string }
  | { readonly op: "assign"; readonly afterEvents?: boolean; readonly distinctId: string; readonly toPersonOf: string }

export interface Case {
  readonly id: string
  readonly title: string
  readonly project: { readonly timezone: string; readonly weekStart: "sunday" | "monday" }
  readonly policy?: Readonly<Record<string, string | number>>
  readonly people?: Readonly<Record<string, { readonly distinctIds: ReadonlyArray<string> }>>
  readonly identity?: ReadonlyArray<IdentityOperation>
  readonly before?: ReadonlyArray<{ readonly distinctIds: ReadonlyArray<string>; readonly identified: boolean }>
  /** Of another shape in some kinds. */
  readonly events?: ReadonlyArray<unknown>
  readonly query: Query
  readonly expected: Readonly<Record<string, unknown>>
}

const FOLDER = sharedPath("conformance")

/** Names of all files of cases; relations for generated data are not cases. */
export const caseFiles = (): ReadonlyArray<string> =>
  readdirSync(FOLDER)
    .filter((name) => name.endsWith(".json") && name !== "invariants.json")
    .sort()

export const readCases = (file: string): ReadonlyArray<Case> =>
  (JSON.parse(readFileSync(join(FOLDER, file), "utf8")) as { readonly cases: ReadonlyArray<Case> }).cases
