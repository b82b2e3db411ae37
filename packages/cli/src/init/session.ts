import { SyncError } from '@clinic-sync/sync'
import type { Prompter } from './ask.ts'
import type { InitOptions, Passwords } from './options.ts'
import type { Previous } from './previous.ts'

/** What every step of init has at hand. */
export interface Session {
  readonly options: InitOptions
  readonly passwords: Passwords
  readonly previous: Previous
  /** Null: nobody answers; what no flag says has its default, or is an error. */
  readonly ask: Prompter | null
  readonly say: (line: string) => void
  /** Whether init itself runs in a container, for which this machine is another. */
  readonly inContainer: boolean
  /** How long a server may take to answer, milliseconds. */
  readonly patienceMs: number
}

/** What is wrong before anything is written. */
export const refusal = (message: string, cause?: unknown): SyncError => new SyncError('SYNC_USAGE', message, { cause })

/** Why a server will not do, and what to do about it. */
export interface Trouble {
  readonly why: string
  readonly todo: string
  /** Nobody known has signed the certificate, or it is another host's: it may be looked at. */
  readonly certificate?: boolean
}

/** Says it to whoever answers, or ends. @throws SyncError where nobody answers. */
export function complain({ ask, say }: Session, { why, todo }: Trouble): void {
  const sentence = why.replace(/[.]$/, '')
  if (ask === null) throw refusal(`${sentence}. ${todo}`)
  say(`  ✗ ${sentence}.`)
  say(`    → ${todo}`)
}
