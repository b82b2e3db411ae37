import type { Environment, Settings } from '@clinic-sync/runtime'
import { SyncError } from '@clinic-sync/sync'
import { wrapped } from '../status/table.ts'

/** A file of the bundle. */
export interface Entry {
  /** In the archive, such as `logs/ingress.jsonl`. */
  readonly path: string
  /** One sentence for who reads it before it is sent. */
  readonly about: string
  readonly text: string
}

/** Something that could not be had. */
export interface Missing {
  readonly what: string
  /** Sentences: why, and where there is something to do, what. */
  readonly why: string
}

export interface Collected {
  readonly entries: readonly Entry[]
  readonly missing: readonly Missing[]
}

/** What the parts are made from. */
export interface Sources {
  readonly environment: Environment
  /** Those that are there and well-formed. */
  readonly settings: Partial<Settings>
  readonly signal: AbortSignal
}

/** Something that the bundle has, asked for by itself: whatever happens to it, the others are told. */
export interface Part {
  /** For the sentence that it is missing. */
  readonly what: string
  /** How long it may take, milliseconds. */
  readonly patienceMs: number
  collect(sources: Sources): Promise<Collected>
}

export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** One file, and nothing missing. */
export const only = (entry: Entry): Collected => ({ entries: [entry], missing: [] })

/** `  what: text`, in lines of at most 110 characters. */
export const listed = (what: string, text: string): string[] =>
  wrapped(`${what}: ${text}`, 106, '    ').map((line, i) => (i === 0 ? `  ${line}` : line))

/** Collects a part; what it cannot do is said in its place. Never rejects, and never takes longer than the part may. */
export async function collected(part: Part, sources: Sources): Promise<Collected> {
  const missing = (why: string): Collected => ({ entries: [], missing: [{ what: part.what, why }] })
  const late = new AbortController()
  const signal = AbortSignal.any([sources.signal, late.signal])
  let timer: NodeJS.Timeout | undefined
  const timeOut = new Promise<Collected>((resolve) => {
    timer = setTimeout(() => {
      resolve(missing(`It did not answer within ${part.patienceMs / 1000} s.`))
      late.abort()
    }, part.patienceMs)
  })
  try {
    return await Promise.race([
      part.collect({ ...sources, signal }).catch((error: unknown) => missing(reasonOf(error))),
      timeOut,
    ])
  } finally {
    clearTimeout(timer)
  }
}

/** Our own errors are sentences for people; of any other, whose message may hold a value, its kind is told. */
export function reasonOf(error: unknown): string {
  if (error instanceof SyncError) return `${error.message.replace(/[.]?$/, '.')} ${error.advice}`
  return `An unforeseen error (${error instanceof Error ? error.name : typeof error}).`
}

/** @throws SyncError SYNC_CONFIG where a setting is missing or wrong */
export function needed<N extends keyof Settings>(settings: Partial<Settings>, ...names: N[]): Pick<Settings, N> {
  const lacking = names.filter((name) => settings[name] === undefined)
  if (lacking.length > 0)
    throw new SyncError('SYNC_CONFIG', `${lacking.join(' and ')}: missing or wrong, see settings.json`)
  return settings as Pick<Settings, N>
}
