import { Schema, Struct } from "effect"
import { TimeZone } from "./time/TimeZone.ts"

/**
 * What a project has agreed on once; every number depends on it. Recorded in the log as a control fact; a change makes
 * the read model anew.
 */
export const Settings = Schema.Struct({
  /** IANA zone whose calendar days are reported. */
  timeZone: Schema.String.check(
    Schema.makeFilter((name) => TimeZone.of(name) !== undefined || `expected an IANA time zone such as Europe/Berlin`),
  ),
  weekStart: Schema.Literals(["monday", "sunday"]),
  /** How far before a device's earliest link its anonymous events become the user's, in ms; `null` for no limit. */
  mergeWindowMillis: Schema.NullOr(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  /** How long an event id counts once, in ms of log time; `null` for ever. */
  dedupeHorizonMillis: Schema.NullOr(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
})
export type Settings = typeof Settings.Type

/** Some of the settings: what one change says. The others stay as they are. */
export const SettingsChange = Settings.mapFields(Struct.map(Schema.optionalKey))
export type SettingsChange = typeof SettingsChange.Type

/** UTC, weeks from Monday, 30 days of merge window, 7 days of dedupe horizon. */
export const DEFAULT_SETTINGS: Settings = {
  timeZone: "UTC",
  weekStart: "monday",
  mergeWindowMillis: 30 * 86_400_000,
  dedupeHorizonMillis: 7 * 86_400_000,
}

/** Whether two settings mean the same, however their JSON is spelled. */
export const sameSettings = Schema.toEquivalence(Settings)
