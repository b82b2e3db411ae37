import { type Clinic, openClinic, openScriptConnection, type ScriptConnection } from '@clinic-sync/clinic'
import type { Change } from '@clinic-sync/contracts'
import { pino } from 'pino'
import type { Test } from 'tap'
import { type EngineOptions, openEngine } from './engine.ts'

export type Cells = Readonly<Record<string, unknown>>

/** A migrated, empty clinic with hands to edit it, for one test file. */
export interface Bench {
  readonly url: string
  readonly clinic: Clinic
  /** Whether the engine is Babelfish, which stands in for SQL Server in checks; see the README for what it cannot judge. */
  readonly babelfish: boolean
  /** Runs a batch as the clinic's software would; gives the rows of its first result set. */
  run(text: string): Promise<readonly Cells[]>
  /** One value of one row. */
  value(text: string): Promise<unknown>
  /** Inserts a row with parameters, each of the type given; gives the new IDENTITY. */
  insert(table: string, cells: Cells): Promise<number>
  /** A second session, for transactions that stay open. Rolled back and closed by itself at the end. */
  session(): Promise<Session>
  /** Empties the outbox, so that a test sees its own changes only. */
  clear(): Promise<void>
  /** What the outbox holds: `table/key operation`, in order. */
  queue(): Promise<string[]>
  doctor(cells?: Cells): Promise<number>
  patient(cells?: Cells): Promise<number>
  work(patient: number, cells?: Cells): Promise<number>
  set(work: number, doctor: number, cells?: Cells): Promise<number>
  batch(set: number, cells?: Cells): Promise<number>
  note(set: number, cells?: Cells): Promise<number>
  invoice(set: number, amount: number): Promise<number>
  /** A doctor, a patient with a work and a set; the outbox emptied. */
  treatment(cells?: Cells): Promise<{ doctor: number; patient: number; work: number; set: number }>
}

export interface Session {
  run(text: string): Promise<readonly Cells[]>
  begin(): Promise<void>
  commit(): Promise<void>
  rollback(): Promise<void>
}

export async function openBench(t: Test, options?: EngineOptions): Promise<Bench> {
  const target = await openEngine(options)
  t.teardown(() => target.stop())
  const clinic = await openClinic({ url: target.url, timeZone: 'Asia/Baghdad', log: pino({ level: 'silent' }) })
  t.teardown(() => clinic.close())
  const own = openScriptConnection(target.url)
  t.teardown(() => own.close())
  const run = (text: string) => own.batch(text)
  const [engine] = await run("SELECT CAST(SERVERPROPERTY('Babelfish') AS nvarchar(10)) AS x")
  let sequence = 0

  const bench: Bench = {
    url: target.url,
    clinic,
    babelfish: engine?.x === '1',
    run,
    async value(text) {
      const [row] = await run(text)
      return row === undefined ? undefined : Object.values(row)[0]
    },
    async insert(table, cells) {
      const names = Object.keys(cells)
      const text = `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map((name) => literal(cells[name])).join(', ')})`
      return Number(await bench.value(`${text}; SELECT CAST(SCOPE_IDENTITY() AS int) AS id`))
    },
    session: () => openSession(t, target.url),
    async clear() {
      await run('DELETE FROM dbo.SyncQueue')
    },
    async queue() {
      const rows = await run('SELECT TableName, RecordID, Operation FROM dbo.SyncQueue ORDER BY QueueID')
      return rows.map((row) => `${row.TableName}/${row.RecordID} ${row.Operation}`)
    },
    doctor: (cells) => bench.insert('dbo.AlignerDoctors', { DoctorName: 'Dr. Sara', ...cells }),
    patient: (cells) => bench.insert('dbo.tblpatients', { PatientName: 'Ali Hassan', ...cells }),
    work: (patient, cells) =>
      bench.insert('dbo.tblwork', { PersonID: patient, TotalRequired: 500, Typeofwork: 19, DrID: 1, ...cells }),
    set: (work, doctor, cells) =>
      bench.insert('dbo.tblAlignerSets', { WorkID: work, AlignerDrID: doctor, SetSequence: ++sequence, ...cells }),
    batch: (set, cells) =>
      bench.insert('dbo.tblAlignerBatches', {
        AlignerSetID: set,
        BatchSequence: ++sequence,
        UpperAlignerCount: 3,
        LowerAlignerCount: 2,
        ...cells,
      }),
    note: (set, cells) =>
      bench.insert('dbo.tblAlignerNotes', { AlignerSetID: set, NoteType: 'Lab', NoteText: 'a note', ...cells }),
    invoice: (set, amount) => bench.insert('dbo.tblInvoice', { AlignerSetID: set, Amountpaid: amount }),
    async treatment(cells) {
      const doctor = await bench.doctor()
      const patient = await bench.patient()
      const work = await bench.work(patient)
      const set = await bench.set(work, doctor, cells)
      await bench.clear()
      return { doctor, patient, work, set }
    },
  }
  return bench
}

/** A T-SQL literal; text as Unicode. */
export function literal(value: unknown): string {
  if (value === null) return 'NULL'
  if (typeof value === 'number') return String(value)
  if (typeof value === 'boolean') return value ? '1' : '0'
  return `N'${String(value).replaceAll("'", "''")}'`
}

async function openSession(t: Test, url: string): Promise<Session> {
  const connection: ScriptConnection = openScriptConnection(url)
  let open = false
  const end = (text: string) => async () => {
    open = false
    await connection.batch(text)
  }
  const session: Session = {
    run: (text) => connection.batch(text),
    async begin() {
      await connection.batch('BEGIN TRANSACTION')
      open = true
    },
    commit: end('COMMIT TRANSACTION'),
    rollback: end('ROLLBACK TRANSACTION'),
  }
  t.teardown(async () => {
    if (open) await session.rollback()
    await connection.close()
  })
  return session
}

/** `table/key`, of each change. */
export const records = (changes: readonly Change[]) => changes.map(({ table, key }) => `${table}/${key}`)

/** The only change of that record, or an error. */
export function changeOf(changes: readonly Change[], record: string): Change {
  const found = changes.filter(({ table, key }) => `${table}/${key}` === record)
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} changes of ${record}`)
  return found[0]
}

/** Settles changes as the ingress does: confirmed by the broker, then with that outcome. */
export async function settle(clinic: Clinic, changes: readonly Change[], outcome: 'applied' | 'retry' | 'dead') {
  const keys = changes.map(({ table, key, version }) => ({ table, key, version }))
  await clinic.settleChanges(keys.map((key) => ({ ...key, outcome: 'queued' })))
  await clinic.settleChanges(keys.map((key) => ({ ...key, outcome })))
}
