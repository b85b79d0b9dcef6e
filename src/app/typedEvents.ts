import type { Occasion, Track } from "./Tracker.ts"

/** The standard events with their usual properties, spelled as the built-in metrics expect them. */

export interface PageView extends Occasion {
  readonly url?: string
  readonly referrer?: string
  readonly pageName?: string
}

export interface Click extends Occasion {
  readonly elementId: string
  readonly elementType?: string
  readonly elementText?: string
}

export interface FeatureUsed extends Occasion {
  readonly featureName: string
  readonly featureVersion?: string
}

export interface Purchase extends Occasion {
  readonly purchaseId: string
  readonly amount: number
  /** ISO 4217, such as `EUR`; sums never mix currencies. */
  readonly currency: string
  readonly items?: ReadonlyArray<unknown>
}

export interface ErrorSeen extends Occasion {
  readonly errorType: string
  readonly errorMessage?: string
  readonly stackTrace?: string
}

/** A `page_view` event. */
export const pageView = ({ url, referrer, pageName, ...occasion }: PageView): Track => ({
  ...occasion,
  event: "page_view",
  properties: { url, referrer, page_name: pageName },
})

/** A `click` event. */
export const click = ({ elementId, elementType, elementText, ...occasion }: Click): Track => ({
  ...occasion,
  event: "click",
  properties: { element_id: elementId, element_type: elementType, element_text: elementText },
})

/** A `feature_used` event, which feature adoption counts. */
export const featureUsed = ({ featureName, featureVersion, ...occasion }: FeatureUsed): Track => ({
  ...occasion,
  event: "feature_used",
  properties: { feature_name: featureName, feature_version: featureVersion },
})

/** A `purchase` event. */
export const purchase = ({ purchaseId, amount, currency, items, ...occasion }: Purchase): Track => ({
  ...occasion,
  event: "purchase",
  properties: { purchase_id: purchaseId, amount, currency, items },
})

/** An `error` event. */
export const errorSeen = ({ errorType, errorMessage, stackTrace, ...occasion }: ErrorSeen): Track => ({
  ...occasion,
  event: "error",
  properties: { error_type: errorType, error_message: errorMessage, stack_trace: stackTrace },
})
