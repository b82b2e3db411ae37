import { connectClinic, type Releasers } from '@clinic-sync/demo'
import { firstRow, type Ledger, noteOf, openStaff, stream, valueFor } from '@clinic-sync/prove/parts'
import type mssql from 'mssql'
import pg from 'pg'
import { comes, patiently } from '../ground/patience.ts'
import type { World } from '../ground/world.ts'

/** Highest queue ids that were committed at some time. */
export interface Marks {
  readonly clinic: string
  readonly portal: string
}

export const NO_MARKS: Marks = { clinic: '0', portal: '0' }

/** Two notes that nobody else edits: one is written in the clinic and looked for in the portal, the other the other way. */
export class Canaries {
  readonly #clinic: mssql.ConnectionPool
  readonly #portal: pg.Pool
  readonly #keys: Readonly<Record<'clinic' | 'portal', number>>
  /** Two notes for faults that hold rows: nobody else edits them either. */
  readonly held: Readonly<Record<'clinic' | 'portal', number>>
  #count = 0

  private constructor(
    clinic: mssql.ConnectionPool,
    portal: pg.Pool,
    keys: Record<'clinic' | 'portal', number>,
    held: Record<'clinic' | 'portal', number>,
  ) {
    this.held = held
    this.#clinic = clinic
    this.#portal = portal
    this.#keys = keys
  }

  /** @param ledger knows the first set, which stays. The services must be up, for the notes to get across. */
  static async open(world: World, ledger: Ledger, release: Releasers): Promise<Canaries> {
    const clinic = await connectClinic(world.addresses.clinic, 3)
    release.add('canaries of the clinic', () => clinic.close())
    const portal = new pg.Pool({ connectionString: world.addresses.portal, max: 3, connectionTimeoutMillis: 5_000 })
    portal.on('error', () => undefined)
    release.add('canaries of the portal', () => portal.end())
    const staff = await openStaff(world.addresses.clinic, world.timeZone)
    const make = async (name: string) => {
      const subject = { ...noteOf(world.seed, name, 'set 1', 'steady'), noteType: 'Doctor' as const }
      const random = stream(world.seed, 'canary', name)
      const row = firstRow(world.seed, subject, random, (column) => valueFor(random, column, name))
      await staff.begin()
      const key = await staff.insert('aligner_notes', null, { ...row, aligner_set_id: ledger.keyOf('set 1') ?? null })
      await staff.commit()
      return key
    }
    const keys = { clinic: await make('canary of the clinic'), portal: await make('canary of the portal') }
    const held = { clinic: await make('held in the clinic'), portal: await make('held in the portal') }
    await staff.close()
    const canaries = new Canaries(clinic, portal, keys, held)
    const there = async () =>
      (await canaries.#inPortal(keys.clinic)) !== null && (await canaries.#inPortal(keys.portal)) !== null
    if (!(await comes(there, 60_000)))
      throw new Error('the canaries do not arrive in the portal, before anything went wrong')
    return canaries
  }

  /** Writes one on each side, and waits for both. @returns milliseconds for each way; null: not within `patienceMs` */
  async fly(
    patienceMs: number,
  ): Promise<{ readonly 'sql-to-postgres': number | null; readonly 'postgres-to-sql': number | null }> {
    const text = `canary ${++this.#count}`
    const [there, back] = await Promise.all([
      timed(patienceMs, async () => {
        await this.#clinicQuery(
          `UPDATE dbo.tblAlignerNotes SET NoteText = '${text}' WHERE NoteID = ${this.#keys.clinic}`,
        )
        return comes(async () => (await this.#inPortal(this.#keys.clinic)) === text, patienceMs, 25)
      }),
      timed(patienceMs, async () => {
        await this.#portalQuery(
          `UPDATE public.aligner_notes SET note_text = '${text}' WHERE note_id = ${this.#keys.portal}`,
        )
        return comes(async () => (await this.#inClinic(this.#keys.portal)) === text, patienceMs, 25)
      }),
    ])
    return { 'sql-to-postgres': there, 'postgres-to-sql': back }
  }

  /** What is in both outboxes now. */
  async marks(): Promise<Marks> {
    const [clinic, portal] = await Promise.all([
      this.#clinicQuery('SELECT MAX(QueueID) AS id FROM dbo.SyncQueue'),
      this.#portalQuery('SELECT max(queue_id) AS id FROM sync.queue'),
    ])
    return { clinic: String(clinic[0]?.['id'] ?? 0), portal: String(portal[0]?.['id'] ?? 0) }
  }

  /** Outbox rows that are open, of those above `from` up to `to`. */
  async open(from: Marks, to: Marks): Promise<number> {
    const [clinic, portal] = await Promise.all([
      this.#clinicQuery(
        `SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status IN ('Pending', 'Queued') AND QueueID > ${from.clinic} AND QueueID <= ${to.clinic}`,
      ),
      this.#portalQuery(
        `SELECT count(*) AS n FROM sync.queue WHERE status IN ('Pending', 'Queued') AND queue_id > ${from.portal} AND queue_id <= ${to.portal}`,
      ),
    ])
    return Number(clinic[0]?.['n']) + Number(portal[0]?.['n'])
  }

  async #inPortal(key: number): Promise<string | null> {
    const rows = await this.#portalOnce(`SELECT note_text FROM public.aligner_notes WHERE note_id = ${key}`)
    return rows[0] === undefined ? null : String(rows[0]['note_text'])
  }

  async #inClinic(key: number): Promise<string | null> {
    const { recordset } = await this.#clinic
      .request()
      .query<Record<string, unknown>>(`SELECT NoteText FROM dbo.tblAlignerNotes WHERE NoteID = ${key}`)
    return recordset[0] === undefined ? null : String(recordset[0]['NoteText'])
  }

  #clinicQuery(text: string): Promise<readonly Record<string, unknown>[]> {
    return patiently(async () => (await this.#clinic.request().query<Record<string, unknown>>(text)).recordset ?? [])
  }

  #portalQuery(text: string): Promise<readonly Record<string, unknown>[]> {
    return patiently(() => this.#portalOnce(text))
  }

  async #portalOnce(text: string): Promise<readonly Record<string, unknown>[]> {
    return (await this.#portal.query<Record<string, unknown>>(text)).rows
  }
}

async function timed(patienceMs: number, work: () => Promise<boolean>): Promise<number | null> {
  const start = performance.now()
  const done = await work()
  const ms = performance.now() - start
  return done && ms <= patienceMs * 2 ? ms : null
}
