import { configDefaults, defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

/** Tests of what a whole process has in common: a module that one of them replaces, totals since its start. */
const ALONE = ["test/app/verify.test.ts", "test/integration/workerHttp.test.ts"]

/** Begun first: they wait more than they work, or work longer than any, and at the end they would do so alone. */
const LONG = ["integration/chaos", "integration/concurrentPersons", "simulation/simulation", "crash/kill"]

class LongFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((name) => moduleId.endsWith(`test/${name}.test.ts`))
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongFirst },
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
