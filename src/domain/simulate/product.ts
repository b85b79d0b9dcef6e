import type { JsonObject } from "../event/json.ts"
import { Weighted } from "./random.ts"

/** The product that the simulated people use: a workspace for teams, sold by subscription and add-ons. */
export interface Feature {
  readonly name: string
  /** How much it is used, relative to the others, once everybody knows it. */
  readonly popularity: number
  /** When it is launched, as a share of the simulated days: 0 is there from the start. */
  readonly launch: number
  /** Days from one minor version to the next. */
  readonly releaseEvery: number
}

const feature = (name: string, popularity: number, launch: number, releaseEvery: number): Feature => ({
  name,
  popularity,
  launch,
  releaseEvery,
})

/** The features, from the one that everybody uses daily to those that hardly anyone finds. */
export const FEATURES: ReadonlyArray<Feature> = [
  feature("dashboard", 100, 0, 14),
  feature("search", 60, 0, 21),
  feature("create_document", 50, 0, 10),
  feature("comment", 35, 0, 30),
  feature("ai_summary", 30, 0.4, 5),
  feature("share_link", 25, 0, 30),
  feature("export_csv", 18, 0, 45),
  feature("filters", 15, 0, 20),
  feature("notifications", 12, 0, 14),
  feature("templates", 10, 0, 28),
  feature("calendar_view", 8, 0.15, 9),
  feature("integrations", 7, 0, 12),
  feature("kanban_board", 6, 0.25, 7),
  feature("bulk_edit", 5, 0, 60),
  feature("custom_fields", 4, 0, 25),
  feature("version_history", 3, 0, 40),
  feature("dark_mode", 2.5, 0.55, 30),
  feature("webhooks", 1.5, 0, 35),
  feature("api_keys", 1, 0, 50),
  feature("audit_log", 0.6, 0, 90),
]

/** A launch is fully noticed after this share of the simulated days. */
const NOTICED_AFTER = 0.2

/** The chances of each feature on one day of the simulation. */
export const featuresOn = (dayIndex: number, days: number): Weighted<Feature> =>
  new Weighted(
    FEATURES.map((one) => {
      const since = dayIndex + 1 - one.launch * days
      const noticed = one.launch === 0 ? 1 : Math.max(0, Math.min(1, since / (NOTICED_AFTER * days)))
      return [one, one.popularity * noticed]
    }),
  )

/** The version of a feature that people meet on one day of the simulation. */
export const versionOn = (one: Feature, dayIndex: number, days: number): string => {
  const minor = Math.floor(Math.max(0, dayIndex - one.launch * days) / one.releaseEvery)
  return `${1 + Math.floor(minor / 10)}.${minor % 10}`
}

const page = (page_name: string, path: string): JsonObject => ({ page_name, path })

/** The pages that the story needs by name. */
export const PAGE = {
  home: page("home", "/"),
  pricing: page("pricing", "/pricing"),
  signup: page("signup", "/signup"),
  signin: page("signin", "/signin"),
  app: page("app", "/app"),
  checkout: page("checkout", "/checkout"),
}

/** Where visitors land. */
export const LANDING_PAGES = new Weighted<JsonObject>([
  [PAGE.home, 60],
  [PAGE.pricing, 14],
  [page("blog", "/blog/tides"), 16],
  [page("docs", "/docs"), 10],
])

/** What visitors look at next. */
export const PUBLIC_PAGES = new Weighted<JsonObject>([
  [PAGE.pricing, 50],
  [page("product", "/product"), 30],
  [page("customers", "/customers"), 12],
  [page("docs", "/docs"), 8],
])

/** What members look at. */
export const MEMBER_PAGES = new Weighted<JsonObject>([
  [PAGE.app, 40],
  [page("document", "/app/document"), 35],
  [page("team", "/app/team"), 10],
  [page("settings", "/app/settings"), 9],
  [page("help", "/help"), 6],
])

/** What members press. */
export const ELEMENTS = new Weighted<JsonObject>([
  [{ element_id: "nav_menu" }, 40],
  [{ element_id: "new_button" }, 25],
  [{ element_id: "save_button" }, 25],
  [{ element_id: "upgrade_banner" }, 6],
  [{ element_id: "invite_button" }, 4],
])

/** What goes wrong. */
export const ERRORS = new Weighted<JsonObject>([
  [{ error_type: "NetworkError", error_message: "The request timed out after 30 s" }, 45],
  [{ error_type: "TypeError", error_message: "Cannot read properties of undefined (reading 'title')" }, 25],
  [{ error_type: "ConflictError", error_message: "Somebody else changed this document" }, 15],
  [{ error_type: "QuotaError", error_message: "The workspace is full" }, 10],
  [{ error_type: "RenderError", error_message: "Zeichen „ß“ fehlt in der Schrift 🖋" }, 5],
])

/** Something that is sold, at a price in the hundredths of any currency. */
export interface Article {
  readonly sku: string
  readonly cents: number
}

/** What is sold. */
export const ARTICLES = new Weighted<Article>([
  [{ sku: "plan-solo", cents: 990 }, 40],
  [{ sku: "plan-team", cents: 4900 }, 25],
  [{ sku: "seat", cents: 1249 }, 20],
  [{ sku: "storage-100gb", cents: 499 }, 12],
  [{ sku: "onboarding", cents: 75_000 }, 3],
])
