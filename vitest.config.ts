import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Opening a store makes a Postgres cluster, which takes seconds on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    // Test files of one process share the modules that they load, which would take it as long as some of the tests.
    isolate: false,
    setupFiles: ["test/support/setup.ts"],
    // Three at a time: many tests wait for servers and processes, and each of the embedded store holds a Postgres in memory.
    maxWorkers: 3,
  },
})
