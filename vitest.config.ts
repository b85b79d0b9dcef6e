import { configDefaults, defineConfig } from "vitest/config"

/** Tests of what a whole process has in common: a module that one of them replaces, totals since its start. */
const ALONE = ["test/app/verify.test.ts", "test/integration/workerHttp.test.ts"]

export default defineConfig({
  test: {
    // Opening a store makes a Postgres cluster, which takes seconds on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    // Three at a time: many tests wait for servers and processes, and each of the embedded store holds a Postgres in memory.
    maxWorkers: 3,
    setupFiles: ["test/support/setup.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "together",
          include: ["test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...ALONE],
          // They share the modules that a process loads, which would take it as long as some of the tests.
          isolate: false,
        },
      },
      { extends: true, test: { name: "alone", include: ALONE } },
    ],
  },
})
