import { readdir, readFile } from 'node:fs/promises'
import type { Key, Row, SyncEvent, Value } from '@clinic-sync/contracts'
import { type DevService, startPostgres } from '@clinic-sync/dev-services'
import type { TableName } from '@clinic-sync/mapping'
import { DatabaseError, toEvent } from '@clinic-sync/sync'
import pg from 'pg'
import { type Log, openPortal, type Portal } from '../src/index.ts'
import { type Migration, runMigration } from './support/migrate.ts'

const MIGRATIONS = new URL('../../../migrations/postgres/', import.meta.url)

export async function migrations(): Promise<Migration[]> {
  const names = (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(names.map(async (name) => ({ name, sql: await readFile(new URL(name, MIGRATIONS), 'utf8') })))
}

/** Keeps what was logged. */
export function logged(): Log & { readonly lines: string[] } {
  const lines: string[] = []
  const keep = (details: object, message: string) => lines.push(JSON.stringify([details, message]))
  return { lines, info: keep, warn: keep }
}

export interface Bench {
  readonly url: string
  readonly portal: Portal
  readonly log: ReturnType<typeof logged>
  /** Another connection: a doctor's, or somebody's who looks. */
  connect(): Promise<pg.Client>
  /** Rows with every value as Postgres prints it. */
  rows(sql: string, values?: unknown[]): Promise<Record<string, string | null>[]>
  close(): Promise<void>
}

const AS_TEXT = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig

interface BenchOptions {
  migrated?: boolean
  /** A server that is the test's own, for what all databases of a server share, such as roles. */
  server?: string
}

/** A migrated database of its own, gone with `close`. */
export async function bench(options: BenchOptions = {}): Promise<Bench> {
  const { server } = options
  const service: Pick<DevService, 'url' | 'stop' | 'restart'> = server
    ? { url: server, stop: async () => {} }
    : await startPostgres({ durable: false })
  const name = `portal_${process.pid}_${Math.random().toString(36).slice(2, 8)}`
  const url = new URL(service.url)
  const admin = new pg.Client(service.url)
  admin.on('error', () => {})
  await admin.connect()
  await admin.query(`CREATE DATABASE ${name}`)
  await admin.end()
  url.pathname = `/${name}`
  if (options.migrated !== false) await runMigration(url.href, ...(await migrations()))
  const log = logged()
  const portal = await openPortal({ url: url.href, log })
  const clients: pg.Client[] = []
  const connect = async () => {
    const client = new pg.Client({ connectionString: url.href, types: AS_TEXT })
    client.on('error', () => {})
    await client.connect()
    clients.push(client)
    return client
  }
  let viewer: pg.Client | undefined
  return {
    url: url.href,
    portal,
    log,
    connect,
    async rows(sql, values = []) {
      viewer ??= await connect()
      return (await viewer.query<Record<string, string | null>>(sql, values)).rows
    },
    async close() {
      await portal.close()
      await Promise.all(clients.map((client) => client.end().catch(() => {})))
      // A server of our own takes its databases with it.
      if (!service.restart && !server) {
        const last = new pg.Client(service.url)
        await last.connect()
        await last.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
        await last.end()
      }
      await service.stop()
    },
  }
}

let versions = 0
export const nextVersion = () => ++versions

interface EventOptions {
  version?: number
  seen?: number
}

export function event(table: TableName, key: Key, row: Row | null, options: EventOptions = {}): SyncEvent {
  const { version = nextVersion(), seen = 0 } = options
  return toEvent('clinic', {
    table,
    key,
    version: String(version),
    seen: String(seen),
    since: null,
    base: null,
    row,
    capturedAt: '2026-01-31T08:15:30.123Z',
  } as Parameters<typeof toEvent>[1])
}

type Change = Readonly<Record<string, Value>>

/** Invented rows, complete and valid; `change` overrides columns. */
export const doctor = (dr_id: number, change: Change = {}): Row => ({
  dr_id,
  doctor_name: 'Dr. Layla Haddad',
  doctor_email: `dr${dr_id}@example.org`,
  logo_path: null,
  ...change,
})
export const patient = (person_id: number, change: Change = {}): Row => ({
  person_id,
  patient_id: 'A1',
  patient_name: 'سارة كريم',
  first_name: 'Sara',
  last_name: '',
  phone: '+964 770 000 0001',
  ...change,
})
export const work = (work_id: number, change: Change = {}): Row => ({
  work_id,
  person_id: work_id,
  type_of_work: 19,
  addition_date: '2025-11-03T09:00:00.000Z',
  ...change,
})
export const set = (aligner_set_id: number, change: Change = {}): Row => ({
  aligner_set_id,
  work_id: 1,
  aligner_dr_id: 1,
  set_sequence: 1,
  type: 'Full',
  upper_aligners_count: 14,
  lower_aligners_count: 12,
  remaining_upper_aligners: 4,
  remaining_lower_aligners: 2,
  creation_date: '2025-11-04',
  days: 10,
  is_active: true,
  notes: null,
  folder_path: 'sets/1',
  set_url: null,
  set_pdf_url: null,
  set_cost: '1500.00',
  currency: 'USD',
  pdf_uploaded_at: '2025-11-04T10:11:12.347Z',
  pdf_uploaded_by: null,
  drive_file_id: null,
  ...change,
})
export const batch = (aligner_batch_id: number, change: Change = {}): Row => ({
  aligner_batch_id,
  aligner_set_id: 1,
  batch_sequence: aligner_batch_id,
  upper_aligner_count: 4,
  lower_aligner_count: 4,
  upper_aligner_start_sequence: 1,
  upper_aligner_end_sequence: 4,
  lower_aligner_start_sequence: 1,
  lower_aligner_end_sequence: 4,
  manufacture_date: '2025-11-05',
  delivered_to_patient_date: null,
  days: 10,
  validity_period: 40,
  batch_expiry_date: null,
  notes: null,
  is_active: true,
  ...change,
})
export const note = (note_id: number, change: Change = {}): Row => ({
  note_id,
  aligner_set_id: 1,
  note_type: 'Doctor',
  note_text: 'please check 16',
  created_at: '2025-11-06T07:00:00.000Z',
  is_edited: false,
  edited_at: null,
  is_read: false,
  ...change,
})
export const payment = (aligner_set_id: number, change: Change = {}): Row => ({
  aligner_set_id,
  total_paid: '500.00',
  balance: '1000.00',
  payment_status: 'Partial',
  ...change,
})

/** Doctor 1, patient 1, work 1, set 1: what notes and batches refer to. */
export const parents = () => [
  event('aligner_doctors', 1, doctor(1)),
  event('patients', 1, patient(1)),
  event('work', 1, work(1)),
  event('aligner_sets', 1, set(1)),
]

/** What a row of the portal looks like, by key, as wire values. */
export async function rowOf(portal: Portal, table: TableName, key: Key): Promise<Row | undefined> {
  return (await portal.readRows(table, key - 1, 1)).find((found) => found.key === key)?.row
}

/**
 * A doctor's edit: updates the row, or inserts it where there is none; `write` null deletes it. Returns the version that the
 * capture triggers gave it.
 */
export async function edit(
  client: pg.Client,
  table: 'aligner_notes' | 'aligner_batches',
  key: Key,
  write: Readonly<Record<string, unknown>> | null,
): Promise<number> {
  const id = table === 'aligner_notes' ? 'note_id' : 'aligner_batch_id'
  const names = Object.keys(write ?? {})
  const values = [key, ...Object.values(write ?? {})]
  if (write === null) await client.query(`DELETE FROM public.${table} WHERE ${id} = $1`, values)
  else {
    const assignments = names.map((name, i) => `${name} = $${i + 2}`).join(', ')
    const updated = await client.query(`UPDATE public.${table} SET ${assignments} WHERE ${id} = $1`, values)
    if (updated.rowCount === 0) {
      const places = values.map((_, i) => `$${i + 1}`).join(', ')
      await client.query(`INSERT INTO public.${table} (${[id, ...names].join(', ')}) VALUES (${places})`, values)
    }
  }
  const captured = await client.query(
    'SELECT local_version FROM sync.row_state WHERE table_name = $1 AND record_id = $2',
    [table, key],
  )
  return Number(captured.rows[0]?.local_version)
}

/** The DatabaseError that `promise` ends with. */
export async function failure(promise: Promise<unknown>): Promise<DatabaseError> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(error instanceof DatabaseError)) throw new Error('expected a DatabaseError', { cause: error })
  return error
}
