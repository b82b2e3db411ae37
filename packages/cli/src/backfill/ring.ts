import type { Direction } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { ingressAddress } from '../ingress-address.ts'

/**
 * Rings the ingress as an operator does; resolves when its drain has published what was pending.
 *
 * @param ingressUrl such as `http://127.0.0.1:3000`.
 * @throws SyncError `SYNC_INGRESS` if it does not answer or refuses the token.
 */
export async function ringIngress(
  ingressUrl: string,
  token: string,
  signal?: AbortSignal,
  direction: Direction = 'sql-to-postgres',
): Promise<void> {
  const url = new URL(ingressAddress(ingressUrl, '/api/sync/trigger'))
  let response: Response
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ direction }),
      ...(signal ? { signal } : {}),
    })
  } catch (cause) {
    signal?.throwIfAborted()
    throw new SyncError('SYNC_INGRESS', `No ingress answers at ${url.origin}.`, { cause })
  }
  const answer = await response.text().catch(() => '')
  if (response.status === 401)
    throw new SyncError('SYNC_INGRESS', `The ingress at ${url.origin} does not accept this SYNC_OPERATOR_TOKEN.`)
  if (!response.ok) throw new SyncError('SYNC_INGRESS', `The ingress answered ${response.status}. ${messageOf(answer)}`)
}

/** The ingress' own sentence, which holds no values. */
function messageOf(answer: string): string {
  try {
    const parsed: unknown = JSON.parse(answer)
    const told = typeof parsed === 'object' && parsed !== null && 'message' in parsed ? parsed.message : ''
    return typeof told === 'string' ? told : ''
  } catch {
    return ''
  }
}
