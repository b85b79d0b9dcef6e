import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

/**
 * A relay between a client and a server of this machine, that can fail as networks do. It listens on a port of its own.
 */
export interface TcpProxy {
  readonly port: number
  /** How many connections are open. */
  readonly connections: () => number
  /** Breaks every connection. */
  readonly drop: () => void
  /** Delivers nothing until `resume`, also on new connections; all stay open. */
  readonly stall: () => void
  readonly resume: () => void
  /** Stalls when a client next sends `text`, which the server gets when it resumes; resolves then. */
  readonly stallAt: (text: string) => Promise<void>
  /**
   * Breaks the connection that next sends `text`: `before` the server gets it, or `after` the server has answered, whose
   * answer is lost.
   */
  readonly cutAt: (text: string, when: "before" | "after") => void
  /** Keeps from clients what servers send and `pattern` matches, where it comes in one piece; says how often it did so far. */
  readonly swallow: (pattern: RegExp) => () => number
  readonly close: () => Promise<void>
}

export const startProxy = async (target: number): Promise<TcpProxy> => {
  const sockets = new Set<Socket>()
  let stalled = false
  let stallingAt: { readonly text: string; readonly stalls: () => void } | undefined
  let held = () => {}
  let swallowing: RegExp | undefined
  let swallowed = 0
  let cut: { readonly text: string; readonly when: "before" | "after" } | undefined

  const stall = () => {
    stalled = true
    for (const socket of sockets) socket.pause()
  }

  const listener = createServer((client) => {
    const server = connect(target, "127.0.0.1")
    let answerIsLost = false
    const breakOff = () => {
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      if (stalled) socket.pause()
      socket.on("error", breakOff)
      socket.on("close", () => {
        sockets.delete(socket)
        breakOff()
      })
    }
    client.on("data", (sent) => {
      if (stallingAt !== undefined && sent.includes(stallingAt.text)) {
        stall()
        held = () => server.write(sent)
        stallingAt.stalls()
        stallingAt = undefined
        return
      }
      const meant = cut !== undefined && sent.includes(cut.text) ? cut.when : undefined
      if (meant !== undefined) cut = undefined
      if (meant === "before") return breakOff()
      answerIsLost ||= meant === "after"
      server.write(sent)
    })
    server.on("data", (answer) => {
      if (answerIsLost) return breakOff()
      if (swallowing === undefined) return client.write(answer)
      const passed = answer.toString("latin1").replace(swallowing, () => {
        swallowed++
        return ""
      })
      client.write(passed, "latin1")
    })
    client.on("end", () => server.end())
    server.on("end", () => client.end())
  })
  listener.listen(0, "127.0.0.1")
  await once(listener, "listening")

  return {
    port: (listener.address() as AddressInfo).port,
    connections: () => sockets.size / 2,
    drop: () => sockets.forEach((socket) => socket.resetAndDestroy()),
    stall,
    resume: () => {
      stalled = false
      held()
      held = () => {}
      for (const socket of sockets) socket.resume()
    },
    stallAt: (text) =>
      new Promise((stalls) => {
        stallingAt = { text, stalls }
      }),
    cutAt: (text, when) => {
      cut = { text, when }
    },
    swallow: (pattern) => {
      swallowing = pattern
      return () => swallowed
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      listener.close()
      await once(listener, "close")
    },
  }
}
