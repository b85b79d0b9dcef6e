import { Effect } from "effect"
import { compileMeasure } from "../../domain/measure/compile.ts"
import type { Measure } from "../../domain/measure/Measure.ts"
import { LIVE_GROUP, type Build, ReadModel } from "../../domain/projection/ReadModel.ts"
import type { DayRange } from "../../domain/time/calendar.ts"
import type { TimeZone } from "../../domain/time/TimeZone.ts"

/** A build in a group, compiled. */
export interface GroupMeasure {
  readonly id: number
  readonly measure: Measure
  /**
   * Whether the group folds no events into it, and only moves what persons contribute when they turn out to be others:
   * the default group does so for measures that are still being built.
   */
  readonly follows: boolean
  /** Whether its cells may have been seen, so that a change of them is a revision. */
  readonly published: boolean
}

/** Measures that share checkpoints. */
export interface Group {
  readonly name: string
  readonly measures: ReadonlyArray<GroupMeasure>
}

/** The builds that a group stands for, in order: the default group moves those being built too, for who is who. */
export const membersOf = (group: string, versions: ReadonlyArray<Build>): ReadonlyArray<Build> =>
  group === LIVE_GROUP
    ? versions
    : versions.filter((version) => version.state === "building" && version.group === group)

/** The default group: everything that is built, and with it what is being built, for who is who. */
export const liveGroup = (versions: ReadonlyArray<Build>, zone: TimeZone): Group => ({
  name: LIVE_GROUP,
  measures: versions.map(({ id, definition, state }) => {
    const measure = compileMeasure(definition, zone)
    const follows = state === "building"
    const published = state === "live" || state === "detached"
    return { id, measure: follows ? { ...measure, concerns: () => false } : measure, follows, published }
  }),
})

/** The groups that build, each with the metrics that were applied together. */
export const buildGroups = (versions: ReadonlyArray<Build>, zone: TimeZone): ReadonlyArray<Group> => {
  const building = versions.filter(({ state }) => state === "building")
  return Array.from(
    Map.groupBy(building, ({ group }) => group),
    ([name, members]) => ({
      name,
      measures: members.map(({ id, definition, days }) => ({
        id,
        measure: ofDays(compileMeasure(definition, zone), days),
        follows: false,
        published: false,
      })),
    }),
  )
}

/** A measure that counts day by day, of some days alone. */
const ofDays = (measure: Measure, days: DayRange | null): Measure => {
  const { tally } = measure
  if (days === null || tally === null) return measure
  return {
    ...measure,
    tally: (event, day, emit, emitDecimal) => {
      if (day >= days.from && day <= days.to) tally(event, day, emit, emitDecimal)
    },
  }
}

/** The place up to which the default group has decided what counts in a partition: no build goes further. */
export const decidedUpTo = (partition: number) =>
  ReadModel.use((readModel) =>
    Effect.map(readModel.checkpoint(LIVE_GROUP, partition), (checkpoint) => checkpoint?.position.sequence ?? 0),
  )
