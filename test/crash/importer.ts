/**
 * A program that restores a log from an archive, and dies in the middle as `kill -9` has it: at the moment when so many
 * appends were acknowledged, which is the moment when others are under way.
 *
 * Arguments: the archive, after how many appends, the options of the log as JSON.
 */
import { embeddedLog, importFrom, serversLog } from "../support/archives.ts"

const [archive = "", appends = "", log = ""] = process.argv.slice(2)
const where = JSON.parse(log)
const target = "directory" in where ? embeddedLog(where.directory, where.partitions) : serversLog(where)

let done = 0
await target.run(
  importFrom(archive, {
    onProgress: () => {
      done++
      if (done === Number(appends)) process.kill(process.pid, "SIGKILL")
    },
  }),
)
