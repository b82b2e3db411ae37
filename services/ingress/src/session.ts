import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'

/** How long a session holds, whatever the browser does. Milliseconds. */
export const SESSION_MS = 12 * 3_600_000

/** What a browser takes only with Secure, without a Domain, for the path /: no other host and no plain HTTP can set it. */
const SECURE_NAME = '__Host-clinic-sync'
/** Where the page is reached by plain HTTP. */
const NAME = 'clinic-sync'

export interface OpenSession {
  readonly expiresAt: Date
}

/**
 * Sessions of the status page: a cookie that says until when it holds, signed with a key that is derived from the operator's token.
 * Nothing is kept here, so each of several ingresses knows the cookies of all; another token ends them.
 */
export class Sessions {
  readonly #key: Buffer
  readonly #now: () => number

  /** @param token SYNC_OPERATOR_TOKEN */
  constructor(token: string, now: () => number = Date.now) {
    // The key tells nothing of the token (RFC 5869), and is good for nothing else.
    this.#key = Buffer.from(hkdfSync('sha256', token, '', 'clinic-sync status page, session v1', 32))
    this.#now = now
  }

  /** The value of `set-cookie` that begins one. */
  open(request: FastifyRequest): string {
    const expires = Math.floor((this.#now() + SESSION_MS) / 1000)
    const text = `1.${expires}`
    return setCookie(request, `${text}.${this.#sign(text).toString('base64url')}`, SESSION_MS / 1000)
  }

  /** The session of a request; `over`: it was one; null: it carries none. */
  read(request: FastifyRequest): OpenSession | 'over' | null {
    const found = cookiesOf(request).map((value) => this.#verify(value))
    // Another site of the same domain may put one of its own beside it.
    return found.find((each) => each !== null && each !== 'over') ?? found.find((each) => each === 'over') ?? null
  }

  #verify(value: string): OpenSession | 'over' | null {
    const [, text, expires, mac] = /^(1\.(\d{1,12}))\.([\w-]{43})$/.exec(value) ?? []
    // A header holds a thousand that are none: nothing is reckoned for these, and its form is no secret.
    if (text === undefined || mac === undefined) return null
    if (!timingSafeEqual(Buffer.from(mac, 'base64url'), this.#sign(text))) return null
    const ends = Number(expires) * 1000
    return ends > this.#now() ? { expiresAt: new Date(ends) } : 'over'
  }

  #sign(text: string): Buffer {
    return createHmac('sha256', this.#key).update(text).digest()
  }
}

/** Whether a request brings a cookie of ours at all. */
export const hasCookie = (request: FastifyRequest): boolean => cookiesOf(request).length > 0

/** The value of `set-cookie` with which a browser forgets it. */
export const endCookie = (request: FastifyRequest): string => setCookie(request, '', 0)

/** By the protocol that the browser speaks: that of the connection, or what a proxy that is trusted says (INGRESS_TRUST_PROXY). */
const isSecure = ({ protocol }: FastifyRequest) => protocol === 'https'
const nameFor = (request: FastifyRequest) => (isSecure(request) ? SECURE_NAME : NAME)

function setCookie(request: FastifyRequest, value: string, seconds: number): string {
  const secure = isSecure(request) ? '; Secure' : ''
  return `${nameFor(request)}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`
}

/** Every cookie of our name: of several with one name, a browser sends all. */
function cookiesOf(request: FastifyRequest): string[] {
  const name = nameFor(request)
  return (request.headers.cookie ?? '').split(';').flatMap((pair) => {
    const [key = '', value = ''] = pair.trim().split('=', 2)
    return key === name && value !== '' ? [value] : []
  })
}
