/**
 * A small history whose every number was worked out by hand (UTC):
 *
 * - ada: devices d1 and d2, both of which she had used before she signed in on them;
 * - bob: always signed in; his first page view is 23:30 UTC, which is the next day in Berlin;
 * - d4: a device whose owner is not known;
 * - one event of nobody, one that came three days late, one that came twice.
 */
export const JOURNEY = [
  view("e01", { anonymousId: "d1" }, "2026-03-02T10:00:00Z", "/home"),
  track("e02", "sign_up", { anonymousId: "d1" }, "2026-03-02T10:05:00Z"),
  { id: "e03", type: "identify", userId: "ada", anonymousId: "d1", timestamp: "2026-03-02T10:05:01Z" },
  track("e04", "feature_used", { userId: "ada" }, "2026-03-02T10:10:00Z", { feature_name: "export" }),
  view("e05", { anonymousId: "d2" }, "2026-03-03T08:00:00Z", "/pricing"),
  { id: "e06", type: "identify", userId: "ada", anonymousId: "d2", timestamp: "2026-03-03T08:20:00Z" },
  track("e07", "purchase", { userId: "ada", anonymousId: "d2" }, "2026-03-03T08:30:00Z", {
    amount: 10.1,
    currency: "EUR",
  }),
  view("e08", { userId: "bob", anonymousId: "d3" }, "2026-03-02T23:30:00Z", "/home"),
  track("e09", "sign_up", { userId: "bob" }, "2026-03-03T09:00:00Z"),
  track("e10", "feature_used", { userId: "bob" }, "2026-03-04T12:00:00Z", { feature_name: "export" }),
  track("e11", "feature_used", { userId: "bob" }, "2026-03-04T12:00:10Z", { feature_name: "export" }),
  view("e12", { anonymousId: "d4" }, "2026-03-04T13:00:00Z", "/home"),
  {
    ...track("e13", "feature_used", { userId: "ada" }, "2026-03-02T11:30:00Z", { feature_name: "search" }),
    receivedAt: "2026-03-05T08:00:00Z",
  },
  track("e04", "feature_used", { userId: "ada" }, "2026-03-02T10:10:00Z", { feature_name: "export" }),
  track("e15", "heartbeat", {}, "2026-03-04T00:00:00Z"),
  view("e16", { anonymousId: "d4" }, "2026-03-09T13:00:00Z", "/home"),
]

function track(id: string, event: string, who: object, timestamp: string, properties: object = {}) {
  return { id, event, ...who, timestamp, properties }
}

function view(id: string, who: object, timestamp: string, path: string) {
  return track(id, "page_view", who, timestamp, { path })
}

export const METRICS = `
metrics:
  - name: to_purchase
    version: 1
    description: From the first page to a purchase
    owner: growth
    formula:
      kind: funnel
      steps:
        - event: page_view
        - { name: Signed up, event: sign_up }
        - event: purchase
  - name: revenue
    version: 1
    filter: { events: [purchase] }
    formula: { kind: property-sum, property: properties.amount, currency: properties.currency }
`
