/** Where the ingress takes webhooks. A proxy may have a path of its own in front of it. */
export const WEBHOOK_ROUTE = '/api/sync/webhook'

/** Whether that is an address at which an ingress takes webhooks. One that leads elsewhere is somebody else's. */
export const leadsToIngress = (url: string): boolean =>
  URL.canParse(url) && new URL(url).pathname.endsWith(WEBHOOK_ROUTE)

/** What a webhook's trigger calls `supabase_functions.http_request` with, as text. Headers hold the secret. */
export interface WebhookArguments {
  readonly url: string
  readonly method: string
  readonly headers: string
  readonly params: string
  readonly timeout: string
}

/** Reads pg_trigger.tgargs, in hex: each argument is ended by a zero byte. */
export function argumentsOf(hex: string | null | undefined): WebhookArguments {
  const [url = '', method = '', headers = '', params = '', timeout = ''] = Buffer.from(hex ?? '', 'hex')
    .toString('utf8')
    .split('\0')
  return { url, method: method.toUpperCase(), headers, params, timeout }
}

/** A webhook of Supabase's dashboard, as far as it is no secret. */
export interface WebhookTrigger {
  readonly table: string
  readonly name: string
  readonly events: readonly ('INSERT' | 'UPDATE' | 'DELETE')[]
  readonly enabled: boolean
  readonly method: string
  /** Without user, password and parameters; null where it is none. */
  readonly url: string | null
  /** What it proves itself with: our secret, another, or nothing. */
  readonly secret: 'ours' | 'other' | 'none'
}

/** Bits of pg_trigger.tgtype. */
const EVENTS = { INSERT: 4, DELETE: 8, UPDATE: 16 } as const

/** Reads a row of pg_trigger, without its secrets. */
export function toWebhook(
  row: Readonly<Record<string, string | null>>,
  isSecret: (text: string) => boolean,
): WebhookTrigger {
  const { url, method, headers } = argumentsOf(row.arguments)
  const type = Number(row.type)
  const proofs = proofsIn(headers)
  return {
    table: row.table ?? '',
    name: row.name ?? '',
    events: (['INSERT', 'UPDATE', 'DELETE'] as const).filter((event) => (type & EVENTS[event]) !== 0),
    enabled: row.enabled === 'O' || row.enabled === 'A',
    method,
    url: placeOf(url),
    secret: proofs.length === 0 ? 'none' : proofs.some(isSecret) ? 'ours' : 'other',
  }
}

function placeOf(text: string): string | null {
  if (!URL.canParse(text)) return null
  const { origin, pathname } = new URL(text)
  return `${origin}${pathname}`
}

/** What the ingress would take for the secret: x-sync-secret, or a bearer token. */
function proofsIn(headers: string): string[] {
  try {
    const parsed = JSON.parse(headers) as unknown
    if (typeof parsed !== 'object' || parsed === null) return []
    return Object.entries(parsed).flatMap(([name, value]) => {
      if (typeof value !== 'string') return []
      if (/^x-sync-secret$/i.test(name)) return [value.trim()]
      const bearer = /^authorization$/i.test(name) ? /^Bearer +(\S+) *$/i.exec(value)?.[1] : undefined
      return bearer === undefined ? [] : [bearer]
    })
  } catch {
    return []
  }
}
