import { type SyncStatus, syncStatusValidator } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { ingressAddress } from '../ingress-address.ts'

/** The ingress gives each part 10 s, and the dead letters 10 s after the others. */
const ASK_MS = 25_000
/** The stream sends something every 15 s, if only a comment: after such a silence the line is dead. */
const SILENCE_MS = 45_000

export interface IngressToAsk {
  /** INGRESS_URL */
  readonly url: string
  /** SYNC_OPERATOR_TOKEN */
  readonly token: string
}

/** @throws SyncError SYNC_INGRESS where nobody answers in time, or somebody else. */
export async function askStatus(ingress: IngressToAsk, signal: AbortSignal, within = ASK_MS): Promise<SyncStatus> {
  // A timer of our own: in Node 20 an AbortSignal.timeout that only AbortSignal.any refers to may be collected, and never fires.
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), within)
  try {
    const response = await send(ingress, '/api/sync/status', AbortSignal.any([signal, late.signal]))
    return statusIn(await response.json().catch(() => null))
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Each status that the ingress tells, as long as it does.
 *
 * @throws SyncError SYNC_INGRESS where nobody answers, or no more.
 */
export async function* followStatus(ingress: IngressToAsk, signal: AbortSignal): AsyncGenerator<SyncStatus, void> {
  const silence = new AbortController()
  const timer = setTimeout(() => silence.abort(), SILENCE_MS)
  try {
    const response = await send(ingress, '/api/sync/status/stream', AbortSignal.any([signal, silence.signal]))
    const decoder = new TextDecoder()
    let rest = ''
    for await (const chunk of response.body ?? []) {
      timer.refresh()
      const parts = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n\n')
      rest = parts.pop() ?? ''
      for (const part of parts) {
        const [, data] = /^event: status\ndata: (.*)$/.exec(part) ?? []
        if (data !== undefined) yield statusIn(parsed(data))
      }
    }
  } catch (error) {
    if (signal.aborted) return
    if (error instanceof SyncError) throw error
    throw new SyncError('SYNC_INGRESS', `The ingress at ${originOf(ingress.url)} has stopped answering.`, {
      cause: error,
    })
  } finally {
    clearTimeout(timer)
  }
}

async function send({ url, token }: IngressToAsk, path: string, signal: AbortSignal): Promise<Response> {
  const address = ingressAddress(url, path)
  const origin = originOf(url)
  let response: Response
  try {
    response = await fetch(address, { headers: { authorization: `Bearer ${token}` }, signal })
  } catch (cause) {
    throw new SyncError('SYNC_INGRESS', `No ingress answers at ${origin}.`, { cause })
  }
  if (response.ok) return response
  await response.body?.cancel()
  if (response.status === 401)
    throw new SyncError('SYNC_INGRESS', `The ingress at ${origin} does not accept this SYNC_OPERATOR_TOKEN.`)
  throw new SyncError('SYNC_INGRESS', `What answers at ${origin} tells no status (${response.status}).`)
}

function statusIn(body: unknown): SyncStatus {
  if (syncStatusValidator.Check(body)) return body
  throw new SyncError('SYNC_INGRESS', 'The ingress is of another version: its status cannot be read.')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const originOf = (url: string): string => (URL.canParse(url) ? new URL(url).origin : 'INGRESS_URL')
