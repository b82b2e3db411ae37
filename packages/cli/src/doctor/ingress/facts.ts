import { type DoorbellTestResponse, doorbellTestResponseValidator } from '@clinic-sync/contracts'
import type { Settings } from '@clinic-sync/runtime'
import { SyncError } from '@clinic-sync/sync'
import { ingressAddress } from '../../ingress-address.ts'

/** What the ingress answers. */
export interface IngressFacts {
  readonly url: string
  /** `/readyz`: what it needs, `ok` or why not. Null: something else answers at INGRESS_URL. */
  readonly checks: Readonly<Record<string, string>> | null
  /** Status of a ring with SYNC_WEBHOOK_SECRET; null: not asked. */
  readonly notified: number | null
  /** Status of the doorbells' test with SYNC_OPERATOR_TOKEN; null: not asked. */
  readonly tested: number | null
  /** What the test heard. */
  readonly doorbells: DoorbellTestResponse | null
}

/** The doorbells' test takes up to 5 s. */
const TEST_MS = 7_000
const ASK_MS = 5_000

/** Asks the ingress; a ring is all that this causes. @throws SyncError SYNC_INGRESS where nothing answers */
export async function askIngress(settings: Partial<Settings> & Pick<Settings, 'INGRESS_URL'>): Promise<IngressFacts> {
  const { INGRESS_URL, SYNC_WEBHOOK_SECRET: secret, SYNC_OPERATOR_TOKEN: token } = settings
  const url = new URL(INGRESS_URL).origin
  const at = (path: string) => new URL(ingressAddress(INGRESS_URL, path))
  const [ready, test] = await Promise.all([
    send(at('/readyz'), {}, ASK_MS),
    token === undefined ? null : send(at('/api/sync/doorbells/test'), post(token), TEST_MS),
  ])
  // Not before: a ring over HTTP would be heard by the test.
  const notified = secret === undefined ? null : await send(at('/api/sync/queue-notify'), post(secret), ASK_MS)
  return {
    url,
    checks: checksIn(ready.body),
    notified: notified?.status ?? null,
    tested: test?.status ?? null,
    doorbells: test?.status === 200 && doorbellTestResponseValidator.Check(test.body) ? test.body : null,
  }
}

/** The header takes any text; a bearer token would end at a blank. */
const post = (secret: string): RequestInit => ({
  method: 'POST',
  headers: { 'x-sync-secret': secret, 'content-type': 'application/json' },
  body: '{}',
})

async function send(url: URL, init: RequestInit, ms: number): Promise<{ status: number; body: unknown }> {
  try {
    const response = await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(ms) })
    const text = await response.text()
    return { status: response.status, body: parsed(text) }
  } catch (cause) {
    const code = codeOf(cause)
    throw new SyncError('SYNC_INGRESS', `No ingress answers at ${url.origin}${code === '' ? '' : ` (${code})`}`, {
      cause,
    })
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return null
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if (error.name === 'TimeoutError') return 'in time'
  const { cause } = error
  return typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : ''
}

function checksIn(body: unknown): Readonly<Record<string, string>> | null {
  if (typeof body !== 'object' || body === null || !('checks' in body)) return null
  const { checks } = body
  if (typeof checks !== 'object' || checks === null) return null
  return Object.fromEntries(Object.entries(checks).map(([name, reason]) => [name, String(reason)]))
}
