import { createHash } from "node:crypto"
import { nkeys } from "@nats-io/transport-node"

/** What a server in operator mode needs, and what a user needs to sign in there. */
export interface OperatorSetup {
  /** Lines for the server's configuration. */
  readonly config: string
  /** The contents of the user's credentials file. */
  readonly credentials: string
}

const base64 = (value: Uint8Array | string): string => Buffer.from(value).toString("base64url")

/** A JWT as nsc makes them: claims signed with an NKey. */
const sign = (issuer: nkeys.KeyPair, subject: string, name: string, nats: object): string => {
  const claims = { iat: 1_700_000_000, iss: issuer.getPublicKey(), name, sub: subject, nats: { version: 2, ...nats } }
  const jti = createHash("sha256").update(JSON.stringify(claims)).digest("hex")
  const header = base64(JSON.stringify({ typ: "JWT", alg: "ed25519-nkey" }))
  const body = `${header}.${base64(JSON.stringify({ jti, ...claims }))}`
  return `${body}.${base64(issuer.sign(Buffer.from(body)))}`
}

/** Makes an operator, an account with JetStream, and a user. */
export const makeOperatorSetup = (): OperatorSetup => {
  const operator = nkeys.createOperator()
  const account = nkeys.createAccount()
  const system = nkeys.createAccount()
  const user = nkeys.createUser()
  const unlimited = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 }
  const jetstream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }
  const operatorJwt = sign(operator, operator.getPublicKey(), "test", { type: "operator" })
  const accountJwt = sign(operator, account.getPublicKey(), "test", {
    type: "account",
    limits: { ...unlimited, ...jetstream },
  })
  const systemJwt = sign(operator, system.getPublicKey(), "system", { type: "account", limits: unlimited })
  const userJwt = sign(account, user.getPublicKey(), "test", { type: "user", subs: -1, data: -1, payload: -1 })
  return {
    config: [
      `operator: "${operatorJwt}"`,
      `system_account: ${system.getPublicKey()}`,
      "resolver: MEMORY",
      `resolver_preload: { ${account.getPublicKey()}: "${accountJwt}", ${system.getPublicKey()}: "${systemJwt}" }`,
    ].join("\n"),
    credentials: [
      "-----BEGIN NATS USER JWT-----",
      userJwt,
      "------END NATS USER JWT------",
      "",
      "-----BEGIN USER NKEY SEED-----",
      Buffer.from(user.getSeed()).toString(),
      "------END USER NKEY SEED------",
      "",
    ].join("\n"),
  }
}
