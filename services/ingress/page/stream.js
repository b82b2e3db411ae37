import { API } from './api.js'

/** The ingress says every 15 s that the line is alive: after this it is not. */
const SILENCE_MS = 45_000
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 15_000

/**
 * @typedef {object} Listener
 * @property {(event: string, data: unknown) => void} onEvent
 * @property {(reason: string) => void} onLost each time that the line is lost or cannot be had
 * @property {() => void} onSignedOut the session is over: it does not try again
 */

/**
 * Follows the ingress's server-sent events, and comes back by itself. Not by EventSource: that does not say why it was refused, and does
 * not notice a line that has gone silent.
 *
 * @param {Listener} listener
 * @returns {() => void} ends it
 */
export function follow({ onEvent, onLost, onSignedOut }) {
  const ending = new AbortController()
  let wait = FIRST_WAIT_MS
  let wake = () => {}
  const soon = () => {
    if (document.visibilityState === 'visible') wake()
  }
  document.addEventListener('visibilitychange', soon, { signal: ending.signal })
  window.addEventListener('online', soon, { signal: ending.signal })
  const run = async () => {
    while (!ending.signal.aborted) {
      const status = await once(ending.signal, (event, data) => {
        wait = FIRST_WAIT_MS
        onEvent(event, data)
      })
      if (ending.signal.aborted) return
      if (status === 401) return onSignedOut()
      onLost(status === 0 || status === 200 ? 'its line is broken' : `it answered ${status}`)
      await new Promise((resolve) => {
        wake = () => resolve(undefined)
        setTimeout(resolve, wait)
      })
      wait = Math.min(LONGEST_WAIT_MS, wait * 2)
    }
  }
  void run()
  return () => ending.abort()
}

/**
 * One connection, until it ends.
 *
 * @param {AbortSignal} ending
 * @param {Listener['onEvent']} onEvent
 * @returns {Promise<number>} the answer's status; 0: there was none
 */
async function once(ending, onEvent) {
  const silent = new AbortController()
  const heard = () => {
    clearTimeout(timer)
    timer = setTimeout(() => silent.abort(), SILENCE_MS)
  }
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  heard()
  let status = 0
  const stop = () => silent.abort()
  ending.addEventListener('abort', stop)
  try {
    const headers = { accept: 'text/event-stream' }
    const response = await fetch(`${API}/status/stream`, { headers, signal: silent.signal, cache: 'no-store' })
    status = response.status
    if (!response.ok || response.body === null) {
      await response.body?.cancel()
      return status
    }
    const events = new Events(onEvent)
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      heard()
      events.take(part.value)
    }
  } catch {
    // What is told of a broken line is that it is broken.
  } finally {
    clearTimeout(timer)
    ending.removeEventListener('abort', stop)
  }
  return status
}

/** Server-sent events out of text that comes in pieces. */
export class Events {
  #rest = ''
  #onEvent

  /** @param {Listener['onEvent']} onEvent */
  constructor(onEvent) {
    this.#onEvent = onEvent
  }

  /** @param {string} text */
  take(text) {
    const parts = (this.#rest + text).split('\n\n')
    this.#rest = parts.pop() ?? ''
    for (const part of parts) {
      const lines = part.split('\n')
      const of = (/** @type {string} */ field) =>
        lines.flatMap((line) => (line.startsWith(`${field}: `) ? [line.slice(field.length + 2)] : []))
      const data = of('data').join('\n')
      // A comment says only that the line is alive.
      if (data !== '') this.#onEvent(of('event')[0] ?? 'message', JSON.parse(data))
    }
  }
}
