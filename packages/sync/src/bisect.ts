/** The result of one item: what the batch returned for it, or the error that it causes alone. */
export type Bisected<R> = { readonly ok: true; readonly value: R } | { readonly ok: false; readonly error: unknown }

/**
 * Applies `items` as one batch; when that fails, as two halves, and so on, until the items that fail stand alone.
 * One bad item among n costs about 2·log2(n) further batches.
 *
 * @param apply must be all-or-nothing, and return one result an item, in order.
 * @param giveUp errors that no smaller batch would cure (the database is down): thrown on at once.
 */
export async function bisect<T, R>(
  items: readonly T[],
  apply: (items: readonly T[]) => Promise<readonly R[]>,
  giveUp: (error: unknown) => boolean,
): Promise<Bisected<R>[]> {
  if (items.length === 0) return []
  try {
    return (await apply(items)).map((value) => ({ ok: true, value }))
  } catch (error) {
    if (giveUp(error)) throw error
    if (items.length === 1) return [{ ok: false, error }]
    const middle = items.length >> 1
    const left = await bisect(items.slice(0, middle), apply, giveUp)
    return left.concat(await bisect(items.slice(middle), apply, giveUp))
  }
}
