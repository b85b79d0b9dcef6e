#!/usr/bin/env node
import { enableCompileCache } from "node:module"

// Compiled code is kept between runs, which halves the start; so it has to be turned on before anything is loaded.
enableCompileCache()

// A worker that is told to stop while the program is still being loaded has nothing to finish. What listens later takes the place
// of this.
if (process.argv.includes("project"))
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => process.exit(0))

await import("./program.ts")
