import { spawnSync } from "node:child_process"
import { findNatsServer } from "../test/support/natsServer.ts"
import { findPostgres } from "../test/support/postgresServer.ts"

/** What the tests start themselves, and the Debian package that has it. */
const SERVERS: ReadonlyArray<{ readonly package: string; readonly find: () => unknown }> = [
  { package: "nats-server", find: findNatsServer },
  { package: "postgresql", find: findPostgres },
]

const missing = (): ReadonlyArray<string> =>
  SERVERS.filter(({ find }) => {
    try {
      find()
      return false
    } catch {
      return true
    }
  }).map((server) => server.package)

/**
 * Makes sure that the servers which the tests start are on this machine: finds them, or installs them where it may, or
 * says in one sentence what to install. Gives `null` when all are there.
 */
export const findServers = (): string | null => {
  const needed = missing()
  if (needed.length === 0) return null
  if (process.getuid?.() === 0) {
    console.log(`Installing ${needed.join(" and ")} for the tests.`)
    const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
    spawnSync("apt-get", ["update"], { stdio: "ignore", env: environment })
    spawnSync("apt-get", ["install", "-y", "--no-install-recommends", ...needed], { stdio: "ignore", env: environment })
  }
  const still = missing()
  return still.length === 0
    ? null
    : `The tests start servers of their own; install them: apt-get install ${still.join(" ")}`
}
