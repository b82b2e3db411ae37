/** What the ingress has answered instead of what was asked for. */
export class Refused extends Error {
  /**
   * @param {string} message a sentence
   * @param {number} status 0: it has not answered
   * @param {unknown} [body]
   */
  constructor(message, status, body) {
    super(message)
    this.status = status
    this.body = body
  }
}

/** Called when the session is over. */
let whenSignedOut = () => {}

/** @param {() => void} listener */
export function onSignedOut(listener) {
  whenSignedOut = listener
}

export const API = 'api/sync'
/** A form of another site cannot set a header: with it, the ingress believes that this page asks. */
const OWN = { 'x-clinic-sync': 'page' }

/**
 * Asks the ingress. What is sent and what comes back are JSON; the session is in a cookie that no script sees.
 *
 * @param {string} path
 * @param {{ method?: string, body?: unknown, signal?: AbortSignal }} [options]
 * @returns {Promise<any>} null: it has answered without a body
 * @throws {Refused}
 */
export async function ask(path, { method = 'GET', body, signal } = {}) {
  const response = await send(path, {
    method,
    headers: body === undefined ? OWN : { ...OWN, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  })
  const text = await response.text().catch(() => '')
  const answer = parsed(text)
  if (response.ok) return answer
  if (response.status === 401 && path !== '/session') whenSignedOut()
  throw new Refused(answer?.message ?? `The ingress answered ${response.status}.`, response.status, answer)
}

/**
 * @param {string} path
 * @param {unknown} [body]
 */
export const post = (path, body = {}) => ask(path, { method: 'POST', body })

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function send(path, options) {
  try {
    return await fetch(`${API}${path}`, { ...options, credentials: 'same-origin', redirect: 'error' })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Refused('The ingress cannot be reached from here. Is it running, and is this device on its network?', 0)
  }
}

/** @param {string} text */
function parsed(text) {
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    return null
  }
}

/**
 * For people.
 *
 * @param {unknown} error
 */
export const reasonOf = (error) => (error instanceof Refused ? error.message : `This page has failed: ${error}`)
