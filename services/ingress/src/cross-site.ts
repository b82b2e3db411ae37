import type { FastifyRequest } from 'fastify'
import { contentTypeOf } from './body.ts'

/** What our page says in each request: no form can, and no other site without being asked about first (CORS), which is refused. */
const PAGE_HEADER = 'x-clinic-sync'
const PAGE = 'page'
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD'])

/** Why a request must not use the page's cookie. */
export interface CrossSite {
  readonly status: 403 | 415
  /** For the log. */
  readonly why: string
  readonly says: string
}

/**
 * Whether a request that a browser sent comes from our own page; null: it does. A browser adds the cookie to what another page has it
 * send: SameSite=Strict stops that between sites, this also between hosts and ports of one site, and where that is not known.
 *
 * What changes something must say so twice: by Sec-Fetch-Site, which only the browser can set, or where it sends none (an old one, or plain
 * HTTP) by its Origin; and by a header of ours. A body must be JSON by its type, which no form sends.
 */
export function crossSite(request: FastifyRequest): CrossSite | null {
  const { headers, method } = request
  const site = headers['sec-fetch-site']
  if (SAFE.has(method)) {
    // `none`: the address was typed, or is a bookmark.
    return site === undefined || site === 'same-origin' || site === 'none' ? null : FOREIGN
  }
  if (site === undefined ? !isOwnOrigin(request) : site !== 'same-origin') return FOREIGN
  if (headers[PAGE_HEADER] !== PAGE) return UNNAMED
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  return hasBody && !/^application\/json\s*(;|$)/i.test(contentTypeOf(request)) ? NOT_JSON : null
}

const FOREIGN: CrossSite = {
  status: 403,
  why: 'with a session, from another site',
  says: "Another site's page sent this: only the status page itself may use its session.",
}
const UNNAMED: CrossSite = {
  status: 403,
  why: 'with a session, and not from our page',
  says: `Requests with a session must carry the header ${PAGE_HEADER}: ${PAGE}.`,
}
const NOT_JSON: CrossSite = {
  status: 415,
  why: 'with a session, and a body that is not JSON',
  says: 'Requests with a session must say content-type: application/json.',
}

/** A proxy that is not trusted hides that the browser speaks https: then the host alone is compared. */
function isOwnOrigin({ headers: { origin }, protocol, host }: FastifyRequest): boolean {
  if (origin === undefined || !URL.canParse(origin) || !URL.canParse(`${protocol}://${host}`)) return false
  const its = new URL(origin)
  const secured = its.protocol === 'https:'
  if (!secured && (its.protocol !== 'http:' || protocol === 'https')) return false
  // Of the same protocol, since a default port is written or left out.
  return its.host === new URL(`${its.protocol}//${host}`).host
}
