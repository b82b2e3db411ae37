import { History, Rulings, validatorFor, type Validator, Versions } from '@clinic-sync/contracts'
import { get, type Service } from './ask.ts'
import { type Collected, type Entry, json, type Missing } from './part.ts'

const history = validatorFor<History>(History)
const rulings = validatorFor<Rulings>(Rulings)
const versions = validatorFor<Versions>(Versions)

/** What the ingress alone knows, or can say without values: when changes arrived and how late, what was ruled, and its own version. */
export async function ingressTells(
  service: Service,
  signal: AbortSignal,
): Promise<Collected & { readonly versions: Versions | null }> {
  const missing: Missing[] = []
  const ask = async <T>(what: string, path: string, validator: Validator<T>): Promise<T | null> => {
    const { status, text, why } = await get(service, `/api/sync/${path}`, signal)
    const told = status === 200 ? validated(validator, text) : null
    if (told === null) missing.push({ what, why: status === 200 ? 'What it answered is not understood.' : why })
    return told
  }
  const [minutes, ruled, own] = await Promise.all([
    ask('the minutes with changes', 'history?hours=24', history),
    ask('the rulings', 'conflicts?max=200', rulings),
    ask("the ingress's versions", 'versions', versions),
  ])
  const entries: Entry[] = []
  if (minutes !== null)
    entries.push({
      path: 'history.json',
      about:
        'minutes of the last 24 hours in which changes arrived, since the ingress started: how many, and how long they took',
      text: json(minutes),
    })
  if (ruled !== null)
    entries.push({
      path: 'conflicts.json',
      about:
        'the last 200 rulings where both sides had edited: keys and names of columns, what was ruled, when; no value',
      text: json(ruled),
    })
  return { entries, missing, versions: own }
}

function validated<T>(validator: Validator<T>, text: string): T | null {
  try {
    const found: unknown = JSON.parse(text)
    return validator.Check(found) ? found : null
  } catch {
    return null
  }
}
