/**
 * How long a silent peer is borne with, milliseconds. The sums stay below 30 s: a peer that is there in TCP's eyes, while
 * nothing that is sent arrives, has to be noticed within that. (TCP's keepalive finds only the dead ones: a proxy or
 * pooler in between goes on answering it.)
 */
export interface Patience {
  /** For a connection, its login included. */
  readonly connectMs: number
  /** For the server to finish a statement, by its own clock; then it says so, and the connection is good. */
  readonly statementMs: number
  /** For any answer. Above `statementMs`, so that a server that is merely slow can say so. */
  readonly answerMs: number
  /** Between two signs of life of a connection that waits. */
  readonly beatMs: number
}

export const PATIENCE: Patience = { connectMs: 10_000, statementMs: 20_000, answerMs: 24_000, beatMs: 10_000 }

/** A beat may be late by this many quarters of the interval; 22.5 s at 10 s, noticed at 25 s at the latest. */
const SILENT_QUARTERS = 9

export interface SilenceOptions {
  readonly beatMs: number
  /** How many bytes have come so far. */
  readonly bytes: () => number
  /** Asks for a sign of life, once each `beatMs`; missing: the peer gives it unasked. */
  readonly beat?: () => void
  /** Called once, when nothing has come for nine quarters of `beatMs`. */
  readonly onSilence: () => void
}

/**
 * Watches a connection that waits, and gives what ends the watch. Counts looks, not time: a process that was frozen itself
 * finds what came meanwhile at its next look, and blames nobody.
 */
export function watchSilence({ beatMs, bytes, beat, onSilence }: SilenceOptions): () => void {
  let [looks, silent, before] = [0, 0, bytes()]
  const timer = setInterval(() => {
    const now = bytes()
    silent = now === before ? silent + 1 : 0
    before = now
    if (silent >= SILENT_QUARTERS) {
      clearInterval(timer)
      onSilence()
    } else if (looks++ % 4 === 0) beat?.()
  }, beatMs / 4)
  return () => clearInterval(timer)
}
