import { openClinic, openScriptConnection } from '@clinic-sync/clinic'
import type { Row, SyncEvent } from '@clinic-sync/contracts'
import { testClinic } from '@clinic-sync/dev-services/testing'
import { sharedColumns, tableNamed } from '@clinic-sync/mapping'
import type { Simulator } from '@clinic-sync/sqlserver-simulator'
import { toEvent } from '@clinic-sync/sync'
import { pino } from 'pino'
import type { Test } from 'tap'

export interface TreatedClinic {
  readonly simulator: Simulator
  readonly url: string
  /** Runs a batch as the clinic's software would; the rows of its first result set. */
  run(text: string): Promise<readonly Record<string, unknown>[]>
  count(text: string): Promise<number>
  /** A connection of its own, for transactions that stay open. */
  session(t: Test): { run(text: string): Promise<unknown> }
  /** Adds Doctor notes to the set; their keys. */
  notes(count: number): Promise<number[]>
  /** Events in which a doctor has changed these notes, each to the version of its key. */
  edits(keys: readonly number[], changes: (key: number) => Row): Promise<SyncEvent[]>
  /** A doctor's new note; `key` is below 0. */
  born(key: number, version: number, changes?: Row): SyncEvent
}

/** A simulated clinic with one patient under treatment: one set, no notes; the outbox empty. */
export async function treatedClinic(t: Test): Promise<TreatedClinic> {
  const simulator = await testClinic(t)
  const { url } = simulator
  const own = openScriptConnection(url)
  t.teardown(() => own.close())
  const clinic = await openClinic({ url, timeZone: 'Asia/Baghdad', log: pino({ level: 'silent' }) })
  t.teardown(() => clinic.close())
  await own.batch(`
    INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Sara')
    INSERT INTO dbo.tblpatients (PatientName) VALUES (N'Ali Hassan')
    INSERT INTO dbo.tblwork (PersonID, TotalRequired, Typeofwork, DrID) VALUES (1, 500, 19, 1)
    INSERT INTO dbo.tblAlignerSets (WorkID, AlignerDrID, SetSequence) VALUES (1, 1, 1)
    DELETE FROM dbo.SyncQueue`)
  const count = async (text: string) => Number(Object.values((await own.batch(text))[0] ?? {})[0])
  const event = (key: number, version: number, base: Row | null, row: Row) =>
    toEvent('portal', {
      table: 'aligner_notes',
      key,
      version: String(version),
      seen: '0',
      since: String(version),
      base,
      row,
      capturedAt: '2026-01-01T00:00:00.000Z',
    })
  return {
    simulator,
    url,
    run: (text) => own.batch(text),
    count,
    session(test) {
      const connection = openScriptConnection(url)
      test.teardown(() => connection.close())
      return { run: (text) => connection.batch(text) }
    },
    async notes(howMany) {
      const last = await count('SELECT COALESCE(MAX(NoteID), 0) FROM dbo.tblAlignerNotes')
      const values = Array.from({ length: howMany }, () => `(1, 'Doctor', N'as it was')`).join(', ')
      await own.batch(`INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES ${values}
        DELETE FROM dbo.SyncQueue`)
      const rows = await own.batch(
        `SELECT NoteID AS id FROM dbo.tblAlignerNotes WHERE NoteID > ${last} ORDER BY NoteID`,
      )
      return rows.map(({ id }) => Number(id))
    },
    async edits(keys, changes) {
      const wanted = new Set(keys)
      const found = await clinic.readRows('aligner_notes', Math.min(...keys) - 1, Math.max(...keys))
      return found
        .filter(({ key }) => wanted.has(key))
        .map(({ key, row }) => event(key, key, sharedOf(row), { ...row, ...changes(key) }))
    },
    born: (key, version, changes) =>
      event(key, version, null, {
        note_id: key,
        aligner_set_id: 1,
        note_type: 'Doctor',
        note_text: 'from a doctor',
        created_at: '2026-01-31T08:15:30.120Z',
        is_edited: false,
        edited_at: null,
        is_read: false,
        ...changes,
      }),
  }
}

const sharedOf = (row: Row): Row =>
  Object.fromEntries(sharedColumns(tableNamed('aligner_notes')).map(({ name }) => [name, row[name] ?? null]))
