import { Weighted } from "./random.ts"

/** Where people live. */
export interface Place {
  readonly country: string
  readonly city: string
  readonly locale: string
  readonly currency: string
  /**
   * Standard time minus UTC in hours. Daylight saving is left out on purpose: the platform's zone data changes from
   * release to release, and the same seed must give the same bytes with all of them.
   */
  readonly utcOffsetHours: number
}

const place = (country: string, city: string, locale: string, currency: string, utcOffsetHours: number): Place => ({
  country,
  city,
  locale,
  currency,
  utcOffsetHours,
})

/** Places by how many of the product's users live there. */
export const PLACES = new Weighted<Place>([
  [place("US", "New York", "en-US", "USD", -5), 14],
  [place("US", "Chicago", "en-US", "USD", -6), 9],
  [place("US", "San Francisco", "en-US", "USD", -8), 12],
  [place("CA", "Toronto", "en-CA", "USD", -5), 4],
  [place("GB", "London", "en-GB", "GBP", 0), 11],
  [place("GB", "Leeds", "en-GB", "GBP", 0), 3],
  [place("DE", "Berlin", "de-DE", "EUR", 1), 8],
  [place("DE", "München", "de-DE", "EUR", 1), 4],
  [place("FR", "Paris", "fr-FR", "EUR", 1), 6],
  [place("ES", "Málaga", "es-ES", "EUR", 1), 4],
  [place("PL", "Łódź", "pl-PL", "PLN", 1), 3],
  [place("CH", "Zürich", "de-CH", "CHF", 1), 2],
  [place("BR", "São Paulo", "pt-BR", "BRL", -3), 5],
  [place("IN", "Bengaluru", "en-IN", "USD", 5.5), 6],
  [place("JP", "Tokyo", "ja-JP", "USD", 9), 4],
  [place("AU", "Sydney", "en-AU", "AUD", 10), 3],
  [place("NZ", "Auckland", "en-NZ", "USD", 12), 1],
])
