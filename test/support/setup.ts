import { afterAll } from "vitest"
import { endWarmProgram } from "./cli.ts"

// Run for every test file, also in a process that has run others: outside of any test, so it is done after everything else.
afterAll(endWarmProgram)
