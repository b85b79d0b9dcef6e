import { Data } from "effect"

/** The options of a connection can't be used: a file that isn't there, a URL that is none, two ways to sign in. */
export class BadNatsOptions extends Data.TaggedError("BadNatsOptions")<{
  /** Name of the option. */
  readonly option: string
  readonly problem: string
}> {
  override get message(): string {
    return `The NATS option "${this.option}" can't be used: ${this.problem}.`
  }
}

/** None of the servers answered. */
export class NatsUnreachable extends Data.TaggedError("NatsUnreachable")<{
  /** Hosts and ports that were tried. */
  readonly servers: ReadonlyArray<string>
  readonly reason: string
}> {
  override get message(): string {
    return `Could not connect to NATS at ${this.servers.join(", ")}: ${this.reason}. Check that a server runs there and that the address is right.`
  }
}

/** A server answered and turned the connection away. */
export class NatsRefused extends Data.TaggedError("NatsRefused")<{
  readonly servers: ReadonlyArray<string>
  /** How this process signed in. */
  readonly identity: string
  readonly reason: string
}> {
  override get message(): string {
    return `NATS at ${this.servers.join(", ")} refused ${this.identity}: ${this.reason}. Check the credentials, and the account's permissions on the server.`
  }
}

/** The server can't hold a log: it is too old, has no JetStream, or takes only small messages. */
export class NatsServerUnfit extends Data.TaggedError("NatsServerUnfit")<{
  readonly server: string
  readonly problem: string
  readonly remedy: string
}> {
  override get message(): string {
    return `The NATS server ${this.server} can't hold a log: ${this.problem}. ${this.remedy}.`
  }
}

/** A stream of the log's name is there, and a log can't be kept in it. */
export class StreamUnfit extends Data.TaggedError("StreamUnfit")<{
  readonly stream: string
  /** The setting, by its name in JetStream. */
  readonly setting: string
  readonly found: string
  readonly needed: string
  readonly remedy: string
}> {
  override get message(): string {
    return `The stream ${this.stream} can't hold a log: its ${this.setting} is ${this.found}, and must be ${this.needed}. Nothing was changed. ${this.remedy}.`
  }
}

/** There is no log of the project, and none was to be made. */
export class NoSuchLog extends Data.TaggedError("NoSuchLog")<{
  readonly server: string
  readonly project: string
}> {
  override get message(): string {
    return `There is no log of the project ${this.project} at NATS ${this.server}. "tidemark import FILE" makes one, and so does a worker ("tidemark project" without --once); check TIDEMARK_PROJECT and TIDEMARK_NATS_URL.`
  }
}
