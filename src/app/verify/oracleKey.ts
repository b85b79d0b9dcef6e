import { boundedItem, ITEM_LENGTH_MAX } from "../../domain/metric/boundedItem.ts"

/** The oracle's name of a cell, `date|item|stat`, in its parts. */
export const partsOf = (key: string) => {
  const first = key.indexOf("|")
  const last = key.lastIndexOf("|")
  return { date: key.slice(0, first), item: key.slice(first + 1, last), stat: key.slice(last + 1) }
}

/** The oracle calls a cell by the whole of its item and currency; the read model shortens those that are very long. */
export const asStored = (key: string): string => {
  if (key.length <= ITEM_LENGTH_MAX) return key
  const { date, item, stat } = partsOf(key)
  const [name, ...currency] = stat.split(":")
  const bounded = currency.length === 0 ? stat : `${name}:${boundedItem(currency.join(":"))}`
  return `${date}|${boundedItem(item)}|${bounded}`
}
