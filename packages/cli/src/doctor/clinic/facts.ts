import { openClinic } from '@clinic-sync/clinic'
import { createLogger, type Settings } from '@clinic-sync/runtime'
import type { Engine } from '../../migrate/engine.ts'

/** What `sync.Inspect` told, and when. */
export class ClinicFacts {
  readonly #facts: ReadonlyMap<string, string | null>
  /** This machine's clock before and after the question: milliseconds since 1970. */
  readonly sent: number
  readonly received: number

  constructor(facts: ReadonlyMap<string, string | null>, times: { readonly sent: number; readonly received: number }) {
    this.#facts = facts
    this.sent = times.sent
    this.received = times.received
  }

  /** Null: the login may not see it. Undefined: an older sync.Inspect does not know it. */
  get(name: string): string | null | undefined {
    return this.#facts.get(name)
  }

  /** Null where it could not be seen, or is no number. */
  number(name: string): number | null {
    const value = this.get(name)
    return value === null || value === undefined || value.trim() === '' || Number.isNaN(Number(value))
      ? null
      : Number(value)
  }

  big(name: string): bigint | null {
    const value = this.get(name)?.trim()
    return value !== undefined && /^-?\d+$/.test(value) ? BigInt(value) : null
  }

  /** The facts whose name begins so, by the rest of their names. */
  all(prefix: string): readonly (readonly [rest: string, value: string | null])[] {
    return [...this.#facts]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value] as const)
  }

  /** The database's name as an identifier. */
  get database(): string {
    return bracketed(this.get('DatabaseName') ?? 'clinic')
  }
}

/** What matters of it for which doorbells it can have. */
export const engineOf = (facts: ClinicFacts): Engine => ({
  majorVersion: Number.parseInt(facts.get('EngineVersion') ?? '', 10),
  edition: facts.number('EngineEdition') ?? 0,
  linux: facts.get('Platform') === 'Linux',
  babelfish: false,
})

/** A name as T-SQL quotes it. */
export const bracketed = (name: string): string => `[${name.replaceAll(']', ']]')}]`

/** Asks the clinic, as the services' login. @throws SyncError */
export async function askClinic(settings: Pick<Settings, 'SQLSERVER_URL' | 'CLINIC_TIME_ZONE'>): Promise<ClinicFacts> {
  const log = createLogger({ name: 'doctor', level: 'silent' })
  const clinic = await openClinic({ url: settings.SQLSERVER_URL, timeZone: settings.CLINIC_TIME_ZONE, log })
  try {
    const sent = Date.now()
    const facts = await clinic.inspect()
    return new ClinicFacts(facts, { sent, received: Date.now() })
  } finally {
    // Not waited for: a server that hangs would hang the doctor too.
    clinic.close().catch(() => undefined)
  }
}
