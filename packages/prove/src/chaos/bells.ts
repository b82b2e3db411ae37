import type { Side as DatabaseSide } from '@clinic-sync/contracts'
import { isDropped } from '../schedule/faults.ts'
import type { Side } from '../schedule/schedule.ts'
import type { Crew } from './crew.ts'

const PATIENCE = 5_000

/**
 * The HTTP doorbells, for an ingress that hears no other: rung after each commit as SQL Server's job or Supabase's webhook
 * would, some of them lost on the way.
 */
export class Bells {
  readonly #seed: number
  readonly #crew: Crew
  readonly #underWay = new Set<Promise<void>>()
  readonly #unheard = new Set<DatabaseSide>()
  #count = 0
  #rung = 0
  #dropped = 0

  constructor(seed: number, crew: Crew) {
    this.#seed = seed
    this.#crew = crew
    // A start drains both sides: what was lost before it does not matter any more.
    crew.onIngress(() => this.#unheard.clear())
  }

  get counts(): { readonly rung: number; readonly dropped: number } {
    return { rung: this.#rung, dropped: this.#dropped }
  }

  /** Somebody has committed. Returns at once. */
  ring(side: Side): void {
    const { ingress } = this.#crew
    // None: it drains when it starts.
    if (ingress === null) return
    const { doorbells, url } = ingress
    const database = side === 'staff' ? 'clinic' : 'portal'
    if ((side === 'staff' ? doorbells.clinic : doorbells.portal) !== (side === 'staff' ? 'http' : 'webhook')) return
    if (isDropped(this.#seed, ++this.#count)) {
      this.#dropped++
      this.#unheard.add(database)
      return
    }
    const ringing = this.#post(url, side).then(
      () => void this.#rung++,
      () => void this.#unheard.add(database),
    )
    this.#underWay.add(ringing)
    void ringing.finally(() => this.#underWay.delete(ringing))
  }

  /** Whether a ring was lost since the ingress of now was started: then only an operator can tell it. */
  async wasLost(): Promise<boolean> {
    await Promise.all(this.#underWay)
    return this.#unheard.size > 0
  }

  /** What an operator does after an outage: both outboxes are drained. @throws Error if the ingress does not do it */
  async trigger(): Promise<void> {
    const { ingress, operatorToken } = this.#crew
    if (ingress === null) throw new Error('there is no ingress to trigger')
    const answer = await fetch(`${ingress.url}/api/sync/trigger`, {
      method: 'POST',
      headers: { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ direction: 'both' }),
    })
    await answer.body?.cancel()
    if (!answer.ok) throw new Error(`the operator's trigger was answered with ${answer.status}`)
  }

  async #post(url: string, side: Side): Promise<void> {
    const path = side === 'staff' ? '/api/sync/queue-notify' : '/api/sync/webhook'
    const answer = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#crew.secret}`, 'content-type': 'application/json' },
      body: JSON.stringify(side === 'staff' ? {} : FORGED),
      signal: AbortSignal.timeout(PATIENCE),
    })
    await answer.body?.cancel()
    if (!answer.ok) throw new Error(`a doorbell was answered with ${answer.status}`)
  }
}

/** Every webhook claims this. Were anything of it ever written, the comparison would find it. */
const FORGED = {
  type: 'UPDATE',
  table: 'aligner_notes',
  schema: 'public',
  record: { note_id: 1, aligner_set_id: 1, note_type: 'Doctor', note_text: 'forged', is_read: true },
  old_record: null,
}
