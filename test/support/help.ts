import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { commandLine } from "../../src/app/cli/commandLine.ts"
import { layerPresenter } from "../../src/app/cli/report.ts"

/** The help of a command, as the program prints it; without a process for each, since there are many. */
export const helpOf = async (path: ReadonlyArray<string>): Promise<string> => {
  const printed: Array<string> = []
  const capturing: Console.Console = {
    ...console,
    log: (...texts: ReadonlyArray<unknown>) => void printed.push(texts.join(" ")),
  }
  await Command.runWith(commandLine, { version: "0" })([...path, "--help"]).pipe(
    Effect.provideService(Console.Console, capturing),
    Effect.provide([NodeServices.layer, layerPresenter]),
    Effect.runPromise,
  )
  return `${printed.join("\n")}\n`
}
