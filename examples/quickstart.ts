import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openTidemark } from "../src/index.ts"

// The store is a directory: the one given as an argument, else a temporary one.
const directory = process.argv[2] ?? (await mkdtemp(join(tmpdir(), "tidemark-")))

const tidemark = await openTidemark({ directory })

// Ada comes to the site without an account, signs up, and so becomes known. Two days later she uses a feature.
const at = (time: string) => ({ timestamp: `2026-03-0${time}:00Z` })
await tidemark.trackPageView({ anonymousId: "laptop", pageName: "pricing", ...at("2T09:00") })
await tidemark.track({ event: "sign_up", anonymousId: "laptop", ...at("2T09:04") })
await tidemark.identify({ userId: "ada", anonymousId: "laptop", ...at("2T09:05") })
await tidemark.trackFeatureUsed({ userId: "ada", featureName: "export", ...at("4T10:00") })

// Grace looks around and stays anonymous. Ada's old account buys something; the alias says that it is hers.
await tidemark.page({ anonymousId: "phone", name: "home", ...at("2T11:00") })
await tidemark.trackPurchase({
  userId: "ada@old",
  purchaseId: "p-1",
  amount: 19.9,
  currency: "EUR",
  ...at("4T12:00"),
})
await tidemark.alias({ previousId: "ada@old", userId: "ada", ...at("4T13:00") })

// Queries flush and project first, so they see all of the above.
const active = await tidemark.activeUsers()
for (const { date, users, events } of active.rows) console.log(`${date}: ${users} persons, ${events} events`)
console.log(`in all: ${active.total.users} persons`)

const { features } = await tidemark.adoption()
for (const { featureName, uniqueUsers, totalUsers } of features) {
  console.log(`${featureName}: used by ${uniqueUsers} of ${totalUsers}`)
}

const funnel = await tidemark.funnel({
  formula: {
    kind: "funnel",
    steps: [{ event: "page_view" }, { event: "sign_up" }, { event: "purchase" }],
    window: "7d",
  },
})
for (const { step, name, users } of funnel.steps) console.log(`step ${step}, ${name}: ${users}`)

await tidemark.close()
