/** Writes docs/reference/metrics.schema.json, by which editors check metric files, from the schema that reads them. */
import { writeFileSync } from "node:fs"
import { Schema } from "effect"
import { MetricDefinition } from "../src/domain/metric/definition.ts"

const FILE = new URL("../docs/reference/metrics.schema.json", import.meta.url)

/** The text that the file has to have. */
export const metricsSchema = (): string => {
  const { schema } = Schema.toJsonSchemaDocument(MetricDefinition, { onExcessProperty: "error" })
  const metric = { $ref: "#/$defs/metric" }
  const metrics = { type: "array", items: metric }
  return `${JSON.stringify(
    {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      title: "Tidemark metric definitions: one, or a list of them below metrics",
      // Which of the two a file is shows at once, so that editors say what is wrong within it.
      if: { type: "object", required: ["metrics"] },
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
      then: { type: "object", properties: { metrics }, additionalProperties: false },
      else: metric,
      $defs: { metric: schema },
    },
    null,
    2,
  )}\n`
}

if (import.meta.main) writeFileSync(FILE, metricsSchema())
