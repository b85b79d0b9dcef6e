import { Context } from "effect"

/** Whether other connections write to the same tables at the same time. Where there is but one, rows need no locks. */
export const SharedDatabase = Context.Reference<boolean>("tidemark/infra/sql/SharedDatabase", {
  defaultValue: () => true,
})
