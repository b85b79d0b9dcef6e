/** Files of kinds that come later, whole. */
export const notCoveredFiles: Readonly<Record<string, string>> = {
  "experiments.json": "experiments come later",
  "formulas.json": "arithmetic between metrics comes later",
  "funnels.breakdown.json": "a breakdown of a funnel comes later",
  "funnels.over-time.json": "both are of order any, which comes later",
  "funnels.strict.json": "order strict comes later",
  "funnels.unordered.json": "order any comes later",
  "lifecycle.json": "lifecycle comes later",
  "retention.json": "retention comes later",
  "stickiness.json": "stickiness comes later",
}

/** Single cases, with what they would need. */
export const notCovered: Readonly<Record<string, string>> = {
  "ph.wau.hourly": "interval hour comes later",

  "ph.funnel.ordered.unit.event.session_id": "unit session comes later; the unit is the person",
  "ph.funnel.ordered.unit.person.common_prop":
    "a unit of a person's property; semantics.md has person, session and group",
  "ph.funnel.ordered.first-time.matching-filter": "a step's occurrence firstMatching; semantics.md has none",
  "mixpanel.funnel.hold-constant.totals": "holdConstant comes later; counting totals (reentry after-exit) is no option",

  "ch.wf.basic.1": "a funnel of one step is refused",
  "ch.wf.null.3": "a funnel of one step is refused",
  "ch.wf.dedup.strict": "mode strict_deduplication is no option of semantics.md",
  "ch.wf.dedup.middle": "mode strict_deduplication is no option of semantics.md",
  "ch.wf.modes.strict_order": "mode strict_order is no option of semantics.md (its order strict is another rule)",
  "ch.wf.null.5": "mode strict_order is no option of semantics.md (its order strict is another rule)",
  "ch.wf.tie.strict_increase": "mode strict_increase: semantics.md takes ties in whichever order converts",
  "ch.wf.repeated.once+dedup": "modes strict_once and strict_deduplication are no options of semantics.md",
  "ch.wf.reentry.abc.reentry": "mode strict_order is no option of semantics.md (its order strict is another rule)",
  "ch.wf.reentry.abcd.reentry": "mode strict_order is no option of semantics.md (its order strict is another rule)",
  "ch.wf.reentry.abc.reentry+dedup": "modes strict_order and strict_deduplication are no options of semantics.md",
  "duckdb.wf.strict_once": "mode strict_once is no option of semantics.md",

  "mixpanel.sess.event.midnight": "sessions from a start event to an end event; semantics.md has none",

  "ph.ts.offset": "the field offset is of one vendor's protocol, and protocols come later",
  "mixpanel.dedup.same-four": "policy last-wins: the first copy in the log wins here",
  "mixpanel.dedup.time-differs": "policy key with time: the event id alone is the key here",

  "issue.umami.retention-all-columns": "retention comes later",
}
