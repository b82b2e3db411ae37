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

/** Reads a row of pg_trigger; `arguments` in hex, each ended by a zero byte: URL, method, headers, parameters, timeout. */
export function toWebhook(
  row: Readonly<Record<string, string | null>>,
  isSecret: (text: string) => boolean,
): WebhookTrigger {
  const [url = '', method = '', headers = ''] = Buffer.from(row.arguments ?? '', 'hex')
    .toString('utf8')
    .split('\0')
  const type = Number(row.type)
  const proofs = proofsIn(headers)
  return {
    table: row.table ?? '',
    name: row.name ?? '',
    events: (['INSERT', 'UPDATE', 'DELETE'] as const).filter((event) => (type & EVENTS[event]) !== 0),
    enabled: row.enabled === 'O' || row.enabled === 'A',
    method: method.toUpperCase(),
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
