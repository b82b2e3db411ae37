import { type Environment, readSettings } from '@clinic-sync/runtime'
import { ingressAddress } from '../ingress-address.ts'

const TELL_MS = 3_000

/** Tells the ingress that a result was kept, so that its status has it. Where it is not there, it reads it at its next start. */
export async function tellIngress(environment: Environment): Promise<void> {
  try {
    const { INGRESS_URL, SYNC_OPERATOR_TOKEN } = readSettings(['INGRESS_URL', 'SYNC_OPERATOR_TOKEN'], environment)
    const answer = await fetch(ingressAddress(INGRESS_URL, '/api/sync/verifications'), {
      method: 'POST',
      headers: { authorization: `Bearer ${SYNC_OPERATOR_TOKEN}`, 'content-type': 'application/json' },
      body: '{"kept":true}',
      signal: AbortSignal.timeout(TELL_MS),
    })
    await answer.body?.cancel()
  } catch {
    // It is a courtesy: the result is kept.
  }
}
