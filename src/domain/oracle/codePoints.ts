/** Orders texts by code point (docs/reference/semantics.md, Identity: ids are "compared by exact code points"). */
export const compareCodePoints = (left: string, right: string): number => {
  const leftPoints = codePointsOf(left)
  const rightPoints = codePointsOf(right)
  for (let index = 0; index < Math.min(leftPoints.length, rightPoints.length); index++) {
    const difference = leftPoints[index]! - rightPoints[index]!
    if (difference !== 0) return difference
  }
  return leftPoints.length - rightPoints.length
}

const codePointsOf = (text: string): ReadonlyArray<number> => Array.from(text, (character) => character.codePointAt(0)!)
