import type { DoorbellTest, Side } from '@clinic-sync/contracts'
import type { Ringer, Rung } from '@clinic-sync/sync'
import { sentence } from './describe.ts'
import type { Ears } from './ears.ts'
import type { ClinicDoorbell, PortalDoorbell } from './start-lines.ts'

/** A change is heard within some milliseconds, a webhook of pg_net within a second or two. */
const PATIENCE_MS = 5_000

export interface TestDoorbellOptions {
  readonly side: Side
  readonly doorbell: ClinicDoorbell | PortalDoorbell
  readonly ringer: Ringer
  readonly ears: Ears
  /** What /readyz knows of the connection on which the doorbell is heard; null: nothing is wrong, or there is none. */
  readonly known: () => string | null
  /** Aborted when the service stops. */
  readonly signal: AbortSignal
  readonly patienceMs?: number
}

/** Asks a side's database to ring, and waits until it is heard here. Never rejects: what went wrong is the answer. */
export async function testDoorbell(options: TestDoorbellOptions): Promise<DoorbellTest> {
  const { side, doorbell, ringer, ears, known, signal, patienceMs = PATIENCE_MS } = options
  const not = (message: string): DoorbellTest => ({ doorbell, heard: false, ms: null, message })
  const none = unasked(side, doorbell)
  if (none !== null) return not(none)

  const started = performance.now()
  const ear = ears.open(side)
  let tooLate: () => void = () => undefined
  const late = new Promise<'late'>((resolve) => (tooLate = () => resolve('late')))
  const timer = setTimeout(tooLate, patienceMs)
  signal.addEventListener('abort', tooLate, { once: true })
  try {
    if (signal.aborted) tooLate()
    const rung = await Promise.race([ringer.ringDoorbell(), late])
    if (signal.aborted) return not('The ingress is stopping.')
    if (rung === 'late') return not(`The ${side}'s database did not answer within ${patienceMs / 1000} s.`)
    const wrong = unheard(side, doorbell, rung)
    if (wrong !== null) return not(wrong)
    if ((await Promise.race([ear.heard, late])) !== 'late') {
      return { doorbell, heard: true, ms: Math.round(performance.now() - started), message: null }
    }
    if (signal.aborted) return not('The ingress is stopping.')
    const refusal = ear.refused() === undefined ? null : `a request was refused here (HTTP ${ear.refused()})`
    const hints = [rung.answer, refusal, known()].filter((hint) => hint !== null).map((hint) => hint.replace(/\.$/, ''))
    const what = `The ${side}'s database rang, and within ${patienceMs / 1000} s nothing was heard here`
    return not(`${[what, ...hints].join('; ')}.`)
  } catch (error) {
    return not(sentence(error))
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', tooLate)
    ear.close()
  }
}

/** Why the database is not asked at all. */
function unasked(side: Side, doorbell: ClinicDoorbell | PortalDoorbell): string | null {
  const setting = `${side.toUpperCase()}_DOORBELL is ${doorbell}`
  if (doorbell === 'none') return `${setting}: nothing rings.`
  return doorbell === 'http'
    ? `${setting}: nothing of ours rings, but a caller of your own, which cannot be asked.`
    : null
}

/** Why a ring cannot be heard, or was refused. */
function unheard(
  side: Side,
  doorbell: ClinicDoorbell | PortalDoorbell,
  { rang, answer, doorbell: other }: Rung,
): string | null {
  const set = '`npm run sync -- doorbell` switches it on.'
  if (other === 'none') return `No doorbell is switched on in the ${side}'s database: ${set}`
  if (other !== undefined && other !== doorbell)
    return `The ${side}'s database rings through ${other}, and ${side.toUpperCase()}_DOORBELL is ${doorbell}: ${set}`
  if (rang) return null
  if (answer === null) return `The ${side}'s database did not ring.`
  const secret = answer === 'HTTP 401' ? ': it is not the secret there, SYNC_WEBHOOK_SECRET' : ''
  return answer.startsWith('HTTP ') ? `The receiver of the ${side}'s doorbell answered ${answer}${secret}.` : answer
}
