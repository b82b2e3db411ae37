/** Up to `max` of many, some of each kind, as evenly as there are of them, in the order in which they came: a flood of one hides no other. */
export function spread<T>(items: readonly T[], kindOf: (item: T) => string, max: number): readonly T[] {
  if (items.length <= max) return items
  const kinds = new Map<string, T[]>()
  for (const item of items) {
    const kind = kindOf(item)
    const known = kinds.get(kind)
    if (known === undefined) kinds.set(kind, [item])
    else known.push(item)
  }
  const chosen = new Set<T>()
  for (let round = 0; chosen.size < max; round++)
    for (const each of kinds.values()) {
      const item = each[round]
      if (item !== undefined && chosen.size < max) chosen.add(item)
    }
  return items.filter((item) => chosen.has(item))
}
