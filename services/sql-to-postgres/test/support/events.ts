import type { SyncEvent, Value } from '@clinic-sync/contracts'
import { allColumns, tableNamed, type TableName } from '@clinic-sync/mapping'
import { toEvent } from '@clinic-sync/sync'

/** An event with all columns: those not given are null. */
export function upsert(table: TableName, key: number, version: number, values: Record<string, Value> = {}): SyncEvent {
  const mapped = tableNamed(table)
  const row = Object.fromEntries(allColumns(mapped).map(({ name }) => [name, values[name] ?? null]))
  return toEvent('clinic', {
    table,
    key,
    version: String(version),
    seen: '0',
    since: null,
    base: null,
    row: { ...row, [mapped.key.name]: key },
    capturedAt: '2026-01-01T00:00:00.000Z',
  })
}

export const patient = (key: number, version: number, name = `patient ${key}`) =>
  upsert('patients', key, version, { patient_name: name })
export const doctor = (key: number, version: number, email: string) =>
  upsert('aligner_doctors', key, version, { doctor_name: `doctor ${key}`, doctor_email: email })
export const work = (key: number, version: number, patientKey: number) =>
  upsert('work', key, version, { person_id: patientKey })
