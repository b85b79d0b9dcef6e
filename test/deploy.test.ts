import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { parseAllDocuments, parse } from "yaml"
import { ENVIRONMENT_PREFIX, KEY_NAMES, nameInEnvironment } from "../src/app/config/keys.ts"

/** What stands in deploy/ is read as its tools read it, and compared with what the program knows. */

const ROOT = resolve(import.meta.dirname, "..")
const read = (path: string) => readFileSync(join(ROOT, path), "utf8")
const manifest = JSON.parse(read("package.json"))

const has = (program: string) => spawnSync("which", [program]).status === 0

const directory = mkdtempSync(join(tmpdir(), "tidemark-deploy-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const FILES = [
  "Dockerfile",
  ...readdirSync(join(ROOT, "deploy"), { recursive: true, encoding: "utf8" })
    .filter((path) => /\.(yaml|service|json|conf)$/.test(path))
    .map((path) => join("deploy", path)),
]

test("every variable of Tidemark in them is one that Tidemark reads", () => {
  const known = new Set(KEY_NAMES.map(nameInEnvironment))
  for (const file of FILES) {
    const named = [...read(file).matchAll(new RegExp(`\\b${ENVIRONMENT_PREFIX}[A-Z_]+\\b`, "g"))].map(([name]) => name)
    expect({ file, unknown: named.filter((name) => !known.has(name)) }).toEqual({ file, unknown: [] })
  }
})

describe("the Dockerfile", () => {
  const lines = read("Dockerfile")
    .split("\n")
    .filter((line) => /^[A-Z]+ /.test(line))
    .map((line) => line.split(/\s+/))
  const of = (instruction: string) => lines.filter(([name]) => name === instruction).map(([, ...rest]) => rest)

  test("copies what there is, and nothing that .dockerignore keeps away", () => {
    const allowed = new Set(
      read(".dockerignore")
        .split("\n")
        .filter((line) => line.startsWith("!"))
        .map((line) => line.slice(1)),
    )
    const sources = of("COPY")
      .filter(([first]) => !first!.startsWith("--from="))
      .flatMap((words) => words.slice(0, -1))
    expect(sources.length).toBeGreaterThan(3)
    for (const source of sources) {
      const path = source.replace(/^\.\//, "")
      expect(existsSync(join(ROOT, path)), path).toBe(true)
      expect([...allowed], path).toContain(path)
    }
  })

  test("copies from stages that there are", () => {
    const stages = of("FROM").flatMap(([, as, name]) => (as === "AS" ? [name] : []))
    const used = of("COPY").flatMap(([first]) => (first!.startsWith("--from=") ? [first!.slice(7)] : []))
    expect(used.length).toBe(2)
    expect(used.filter((name) => !stages.includes(name))).toEqual([])
  })

  test("runs the package's program, on a Node that it supports, not as root", () => {
    const [entrypoint] = of("ENTRYPOINT")
    expect(JSON.parse(entrypoint!.join(" "))).toEqual(["node", `/app/${manifest.bin.tidemark.replace("./", "")}`])
    expect(of("FROM").map(([image]) => image)).toEqual(["node:24-slim", "node:24-slim", "node:24-slim"])
    expect(of("USER")).toEqual([["node"]])
    for (const [, , script] of of("RUN").filter(([npm, run]) => npm === "npm" && run === "run")) {
      expect(manifest.scripts).toHaveProperty(script!)
    }
  })
})

describe("compose.yaml", () => {
  const { services, volumes } = parse(read("deploy/compose.yaml"), { merge: true })

  test("has NATS, PostgreSQL and two workers, each with a check of its health", () => {
    expect(Object.keys(services)).toEqual(["nats", "postgres", "worker"])
    for (const service of Object.values<any>(services)) {
      expect(service.healthcheck.test[0]).toBe("CMD")
      expect(service.restart).toBe("unless-stopped")
    }
    expect(services.worker.deploy.replicas).toBe(2)
    expect(Object.keys(services.worker.depends_on)).toEqual(["nats", "postgres"])
  })

  test("mounts what there is", () => {
    const mounts = Object.values<any>(services).flatMap((service) => service.volumes ?? [])
    for (const mount of mounts) {
      const [source] = mount.split(":")
      if (source.startsWith(".")) expect(existsSync(join(ROOT, "deploy", source)), source).toBe(true)
      else expect(volumes).toHaveProperty(source)
    }
    expect(existsSync(join(ROOT, "deploy", services.worker.build.context, "Dockerfile"))).toBe(true)
  })

  test("holds no password, and workers go to the servers beside them", () => {
    const { TIDEMARK_NATS_URL, TIDEMARK_POSTGRES_URL } = services.worker.environment
    expect(new URL(TIDEMARK_NATS_URL).hostname).toBe("nats")
    expect(TIDEMARK_POSTGRES_URL).toMatch(
      /^postgres:\/\/tidemark:\$\{POSTGRES_PASSWORD:\?.*\}@postgres:5432\/tidemark$/,
    )
  })
})

describe("the configuration of NATS", () => {
  const inKubernetes = parseAllDocuments(read("deploy/kubernetes/nats.yaml"))
    .map((document) => document.toJS())
    .find(({ kind }) => kind === "ConfigMap").data["nats.conf"]

  test.each([
    ["deploy/nats/nats.conf", read("deploy/nats/nats.conf")],
    ["deploy/kubernetes/nats.yaml", inKubernetes],
  ])("%s syncs every write, and a server takes it", (_, config) => {
    expect(config).toMatch(/^\s*sync_interval: always$/m)
    const file = join(directory, "nats.conf")
    // Servers before 2.10 don't know the setting, and of any other they say that they don't.
    const [, minor] = /v2\.(\d+)/.exec(spawnSync("nats-server", ["--version"], { encoding: "utf8" }).stdout) ?? []
    writeFileSync(file, Number(minor) < 10 ? config.replace(/^\s*sync_interval:.*$/m, "") : config)
    const checked = spawnSync("nats-server", ["-t", "-c", file], {
      encoding: "utf8",
      env: { ...process.env, POD_NAME: "nats-0" },
    })
    expect(checked.stdout + checked.stderr).toMatch(/configuration file .* is valid/)
  })
})

describe("the systemd unit", () => {
  const unit = read("deploy/systemd/tidemark-worker.service")

  test("tries again, but not what a person must put right", () => {
    expect(unit).toMatch(/^Restart=always$/m)
    expect(unit).toMatch(/^RestartPreventExitStatus=2 4$/m)
    expect(unit).toMatch(/^ExecStart=\S+\/tidemark project$/m)
  })

  test.skipIf(!has("systemd-analyze"))("systemd takes it", () => {
    const file = join(directory, "tidemark-worker.service")
    writeFileSync(file, unit.replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`))
    const verified = spawnSync("systemd-analyze", ["verify", file], { encoding: "utf8" })
    expect({ status: verified.status, said: verified.stderr }).toEqual({ status: 0, said: "" })
  })
})

describe("the Kubernetes manifests", () => {
  const folder = join(ROOT, "deploy/kubernetes")
  const { resources } = parse(readFileSync(join(folder, "kustomization.yaml"), "utf8"))
  const objects = resources.flatMap((file: string) =>
    parseAllDocuments(readFileSync(join(folder, file), "utf8")).map((document) => document.toJS()),
  )
  const find = (kind: string, name: string) =>
    objects.find((object: any) => object.kind === kind && object.metadata.name === name)

  test("workers: several, apart, with probes that the worker answers and time to finish", () => {
    const { spec } = find("Deployment", "tidemark-worker")
    expect(spec.replicas).toBeGreaterThanOrEqual(2)
    const { containers, terminationGracePeriodSeconds, topologySpreadConstraints, securityContext } = spec.template.spec
    expect(terminationGracePeriodSeconds).toBeGreaterThan(10)
    expect(topologySpreadConstraints).toHaveLength(2)
    expect(securityContext.runAsNonRoot).toBe(true)
    const [worker] = containers
    expect(worker.livenessProbe.httpGet.path).toBe("/healthz")
    expect(worker.readinessProbe.httpGet.path).toBe("/readyz")
    const port = worker.ports.find(({ name }: any) => name === worker.readinessProbe.httpGet.port)
    const variable = worker.env.find(({ name }: any) => name === "TIDEMARK_HTTP_PORT")
    expect(variable.value).toBe(String(port.containerPort))
  })

  test("budgets for disruption select what there is", () => {
    for (const [budget, kind] of [
      ["tidemark-worker", "Deployment"],
      ["nats", "StatefulSet"],
    ] as const) {
      expect(find("PodDisruptionBudget", budget).spec.selector).toEqual(find(kind, budget).spec.selector)
    }
  })

  test("three NATS servers, and the log on as many", () => {
    expect(find("StatefulSet", "nats").spec.replicas).toBe(3)
    const { env } = find("Deployment", "tidemark-worker").spec.template.spec.containers[0]
    expect(env.find(({ name }: any) => name === "TIDEMARK_REPLICAS").value).toBe("3")
    const url: string = env.find(({ name }: any) => name === "TIDEMARK_NATS_URL").value
    expect(url.split(",").map((server) => new URL(server).hostname)).toEqual([
      "nats-0.nats",
      "nats-1.nats",
      "nats-2.nats",
    ])
  })

  test("secrets come by reference, with the keys that the example has", () => {
    const example = parse(readFileSync(join(folder, "secret.example.yaml"), "utf8"))
    const { env } = find("Deployment", "tidemark-worker").spec.template.spec.containers[0]
    const postgres = env.find(({ name }: any) => name === "TIDEMARK_POSTGRES_URL")
    expect(postgres).not.toHaveProperty("value")
    const { name, key } = postgres.valueFrom.secretKeyRef
    expect(name).toBe(example.metadata.name)
    expect(example.stringData).toHaveProperty([key])
    expect(resources).not.toContain("secret.example.yaml")
  })

  test.skipIf(!has("kubectl"))("kustomize puts them together, in one namespace", () => {
    const built = execFileSync("kubectl", ["kustomize", folder], { encoding: "utf8" })
    const made = parseAllDocuments(built).map((document) => document.toJS())
    expect(made.length).toBe(objects.length)
    for (const { kind, metadata } of made) {
      if (kind !== "Namespace") expect(metadata.namespace).toBe("tidemark")
    }
  })
})

describe("the dashboard", () => {
  const dashboard = JSON.parse(read("deploy/grafana/tidemark-workers.json"))
  const reference = read("docs/reference/worker-metrics.md")
  const documented = new Map(
    [...reference.matchAll(/^\| `([a-z_]+)` \| (\w+) \| (.*?) \|/gm)].map(([, name, type, labels]) => [
      name!,
      {
        type,
        labels: labels!
          .replace(/\(.*?\)/g, "")
          .split(",")
          .map((label) => label.trim()),
      },
    ]),
  )
  const targets = dashboard.panels.flatMap(({ title, targets }: any) => targets.map(({ expr }: any) => [title, expr]))

  test("every panel asks for metrics that the reference has", () => {
    expect(targets.length).toBeGreaterThan(20)
    for (const [title, expr] of targets) {
      const named = [...expr.matchAll(/\b(?:tidemark|process|nodejs)_[a-z_]+/g)].map(([name]) => name)
      expect(named.length, title).toBeGreaterThan(0)
      for (const name of named) {
        const histogram = documented.get(name.replace(/_(bucket|sum|count)$/, ""))?.type === "histogram"
        expect(histogram || documented.has(name), `${title}: ${name}`).toBe(true)
      }
    }
  })

  test("rates are of counters, and sums are by labels that there are", () => {
    for (const [title, expr] of targets) {
      for (const [, name] of expr.matchAll(/rate\(([a-z_]+)/g)) {
        const type = documented.get(name.replace(/_bucket$/, ""))!.type
        expect(["counter", "histogram"], `${title}: ${name}`).toContain(type)
      }
      const [name] = expr.match(/\b(?:tidemark|process)_[a-z_]+/)
      const labels = [...(documented.get(name.replace(/_bucket$/, ""))?.labels ?? []), "le", "instance"]
      for (const [, by] of expr.matchAll(/by \(([^)]*)\)/g)) {
        for (const label of by.split(",")) expect(labels, `${title}: ${label}`).toContain(label.trim())
      }
    }
  })
})
