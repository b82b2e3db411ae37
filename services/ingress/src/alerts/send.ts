import type { AlertMessage } from '@clinic-sync/contracts'

/** For the whole answer's head; its body is not read. */
export const PATIENCE_MS = 10_000
/** A receiver that asks for more patience does not get it: news is stale by then. */
const MOST_PAUSE_MS = 3_600_000

/**
 * What became of one attempt. `refused`: by this receiver, and no repetition helps. `failed`: it may go better later, not before
 * `afterMs`. Sentences say nothing of the address, which holds a secret.
 */
export type Attempt =
  | { readonly is: 'taken'; readonly status: number }
  | { readonly is: 'refused'; readonly status: number; readonly why: string }
  | {
      readonly is: 'failed'
      readonly status: number | null
      readonly why: string
      readonly afterMs: number | null
    }

/** Sends a message once. Never rejects. Redirects are not followed: the address is the operator's word, not the receiver's. */
export async function sendAlert(
  url: string,
  message: AlertMessage,
  { signal, patienceMs = PATIENCE_MS }: { readonly signal?: AbortSignal; readonly patienceMs?: number } = {},
): Promise<Attempt> {
  // Not AbortSignal.timeout with AbortSignal.any: in Node 20 it may be collected, and never fires.
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(), patienceMs)
  const stop = () => over.abort()
  signal?.addEventListener('abort', stop, { once: true })
  if (signal?.aborted) stop()
  try {
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json', 'user-agent': `clinic-sync/${message.version}` },
      body: JSON.stringify(message),
      signal: over.signal,
    })
    // Unread, it would hold the connection.
    await response.body?.cancel().catch(() => undefined)
    return judged(response)
  } catch (error) {
    const late = over.signal.aborted && !signal?.aborted
    const why = late ? `it has not answered within ${patienceMs / 1000} s` : `it cannot be reached${codeOf(error)}`
    return { is: 'failed', status: null, why, afterMs: null }
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

function judged({ status, headers }: Response): Attempt {
  if (status >= 200 && status < 300) return { is: 'taken', status }
  const why = `it answered HTTP ${status}`
  if (status === 408 || status === 429 || status >= 500)
    return { is: 'failed', status, why, afterMs: pauseIn(headers.get('retry-after')) }
  if (status >= 300 && status < 400)
    return { is: 'refused', status, why: `${why}, which leads elsewhere: redirects are not followed` }
  return { is: 'refused', status, why }
}

/** Retry-After: seconds, or a date. */
function pauseIn(text: string | null): number | null {
  if (text === null) return null
  const ms = /^\d{1,9}$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isNaN(ms) ? null : Math.min(MOST_PAUSE_MS, Math.max(0, ms))
}

/** Its message may hold the address. */
function codeOf(error: unknown): string {
  const { cause } = error instanceof Error ? error : { cause: undefined }
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : ''
  return /^[A-Z_0-9]{1,40}$/.test(code) ? ` (${code})` : ''
}
