import { ingressAddress } from '../ingress-address.ts'

/** For one answer. Nobody asks a database for it, but for the conflicts. */
const ASK_MS = 5_000
/** A service's log is 500 kB at most, a day's minutes some 400, its metrics some tens. */
const MAX_BYTES = 2_000_000

/** A service that may answer. */
export interface Service {
  /** For people. */
  readonly name: string
  /** For file names. */
  readonly file: string
  readonly base: string
  readonly logs: string
  readonly token?: string
}

export type Answer = { readonly status: number | null; readonly text: string; readonly why: string }

/** Never rejects: `why` says what was wrong, in sentences. */
export async function get({ base, token }: Service, path: string, signal: AbortSignal): Promise<Answer> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), ASK_MS)
  try {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const response = await fetch(ingressAddress(base, path), {
      headers,
      redirect: 'manual',
      signal: AbortSignal.any([signal, late.signal]),
    })
    const text = await textOf(response)
    return { status: response.status, text, why: `It answered ${response.status}${WHY[response.status] ?? ''}.` }
  } catch (error) {
    const why = late.signal.aborted
      ? `It did not answer within ${ASK_MS / 1000} s.`
      : `Nobody answers there${codeOf(error)}.`
    return { status: null, text: '', why }
  } finally {
    clearTimeout(timer)
  }
}

const WHY: Readonly<Record<number, string>> = {
  401: ': it has another SYNC_OPERATOR_TOKEN',
  403: ': name it by an address, localhost, or a name without a dot',
  404: ': it is of an older version, which does not tell it',
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true })
    if (text.length > MAX_BYTES) break
  }
  return text
}

function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
}
