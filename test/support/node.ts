/** How the tests start programs of Node's. */

/** Short runs of Postgres' WebAssembly take a third less when nothing of it is optimised. */
export const NODE_FLAGS = ["--disable-warning=ExperimentalWarning", "--liftoff-only"]

/** What a program's environment holds: nothing of the test runner's. */
export const cleanEnv = (): Record<string, string> =>
  Object.fromEntries(
    ["PATH", "HOME", "TMPDIR", "LANG"].flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
