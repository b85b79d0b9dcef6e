import type { FieldDifference } from "../../../../domain/metric/differences.ts"
import { visible } from "../../print.ts"

/** `owner: "growth" → "sales"` */
export const fieldLine = ({ path, before, after }: FieldDifference): string =>
  visible(`${path}: ${valueText(before)} → ${valueText(after)}`)

const valueText = (value: unknown): string => (value === undefined ? "none" : JSON.stringify(value))
