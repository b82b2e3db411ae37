import type { RuledValues, LoggedRuling, Recorded } from '@clinic-sync/sync'
import type { Rulings, Side } from '@clinic-sync/contracts'
import { bounded } from '@clinic-sync/operations'

export type Sides = Readonly<Record<Side, Pick<Recorded, 'rulings' | 'ruledValues'>>>

/** For each side. Milliseconds. */
const PATIENCE_MS = 10_000
const SIDES: readonly Side[] = ['clinic', 'portal']
const NAMES: Readonly<Record<Side, string>> = { clinic: "The clinic's database", portal: "The portal's database" }

/** What of a side's log has been shown: null is nothing, `clinic/17` is all down to this one. */
type Before = Readonly<Record<Side, string | null>>

/** `clinic/17,portal/3`; a side of which nothing was shown yet is left empty. */
const readBefore = (text: string | undefined): Before => {
  const [clinic = '', portal = ''] = (text ?? ',').split(',')
  return { clinic: clinic || null, portal: portal || null }
}

/**
 * What both sides have on record of conflicts and lost edits, the newest first. The instants are of two clocks: within a side the order is
 * its log's.
 *
 * @param before as `next` of the answer before; only older ones
 * @returns those of the sides that could be asked
 */
export async function mergedRulings(
  sides: Sides,
  max: number,
  before?: string,
  patienceMs = PATIENCE_MS,
): Promise<Rulings> {
  const shown = readBefore(before)
  const unasked: string[] = []
  const found = await Promise.all(
    SIDES.map(async (side) => {
      const look = () => sides[side].rulings(shown[side], max)
      const answer = await bounded(NAMES[side], look, patienceMs)
      if ('facts' in answer) return answer.facts
      unasked.push(`Not known of the ${side}: ${answer.error.message.replace(/[.]?$/, '.')}`)
      return null
    }),
  )
  const [clinic = null, portal = null] = found
  const rulings = merged(clinic ?? [], portal ?? []).slice(0, max)
  const lastOf = (side: Side) => rulings.findLast(({ id }) => id.startsWith(`${side}/`))?.id ?? shown[side]
  const isAll = (all: readonly LoggedRuling[] | null) =>
    all !== null && all.length < max && all.every((each) => rulings.includes(each))
  // A side that could not be asked is asked again when older ones are, and then from where it was.
  const next = isAll(clinic) && isAll(portal) ? null : `${lastOf('clinic') ?? ''},${lastOf('portal') ?? ''}`
  return { rulings: rulings.map(told), next, unasked }
}

/** The values of one ruling; null: there is none of this id. @throws DatabaseError */
export async function valuesOf(
  sides: Sides,
  side: Side,
  id: string,
  patienceMs = PATIENCE_MS,
): Promise<RuledValues | null> {
  const answer = await bounded(NAMES[side], () => sides[side].ruledValues(`${side}/${id}`), patienceMs)
  if ('error' in answer) throw answer.error
  return answer.facts
}

/** Both by their own order, of two heads the newer one first. */
function merged(one: readonly LoggedRuling[], other: readonly LoggedRuling[]): LoggedRuling[] {
  const all: LoggedRuling[] = []
  for (let i = 0, j = 0; i < one.length || j < other.length;) {
    const [a, b] = [one[i], other[j]]
    const first = b === undefined || (a !== undefined && Date.parse(a.at) >= Date.parse(b.at)) ? a : b
    if (first === undefined) break
    all.push(first)
    if (first === a) i++
    else j++
  }
  return all
}

const told = ({ id, table, key, columns, ruling, version, at }: LoggedRuling): Rulings['rulings'][number] => ({
  id,
  table,
  key,
  columns: columns && [...columns],
  ruling,
  version,
  at,
})
