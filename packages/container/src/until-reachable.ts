import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface Place {
  readonly host: string
  readonly port: number
}

/** Why a place cannot be reached: Node's code, such as ENOTFOUND for a name that nobody has. */
type Refusal = string

const ATTEMPT = 3_000
const PAUSE = 1_000

/**
 * Waits until something accepts connections there: a server that starts at the same time as this container.
 *
 * @param options.patience milliseconds; `unknown`: as long as the name of the host is not known, less
 * @returns null, or the last reason in vain
 */
export async function untilReachable(
  place: Place,
  { patience, unknown = patience, onWaiting }: { patience: number; unknown?: number; onWaiting?: () => void },
): Promise<Refusal | null> {
  const started = performance.now()
  for (let said = false; ;) {
    const refusal = await tryOnce(place)
    if (refusal === null) return null
    const limit = refusal === 'ENOTFOUND' || refusal === 'EAI_AGAIN' ? unknown : patience
    if (performance.now() - started + PAUSE > limit) return refusal
    if (!said) onWaiting?.()
    said = true
    await delay(PAUSE)
  }
}

function tryOnce({ host, port }: Place): Promise<Refusal | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: ATTEMPT })
    const done = (refusal: Refusal | null) => {
      socket.destroy()
      resolve(refusal)
    }
    socket.once('connect', () => done(null))
    socket.once('timeout', () => done('ETIMEDOUT'))
    socket.once('error', (error) => done('code' in error ? String(error.code) : error.name))
  })
}
