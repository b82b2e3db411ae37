import type { Key } from '@clinic-sync/contracts'
import { type TableName, tables } from '@clinic-sync/mapping'
import { SyncError } from '@clinic-sync/sync'

export interface NamedRecord {
  readonly table: TableName
  readonly key: Key
}

/**
 * The record that somebody has typed: `aligner_notes 5`, `aligner_notes/5`, `tblAlignerNotes 5`, `dbo.tblAlignerNotes 5`.
 *
 * @throws SyncError SYNC_USAGE
 */
export function recordNamed(first: string, second: string | undefined): NamedRecord {
  const [, name = '', behind] = /^([^/]*)(?:\/(.*))?$/s.exec(first) ?? []
  if (behind !== undefined && second !== undefined)
    throw usage('Write table and key once: `aligner_notes 5` or `aligner_notes/5`.')
  const table = tableOf(name)
  const key = behind ?? second
  if (key === undefined) throw usage(`Which record of ${table}? Write its key behind it, such as \`${table} 5\`.`)
  const number = Number(key)
  // 2³¹: an int's in both databases.
  if (!/^-?\d{1,10}$/.test(key) || number < -(2 ** 31) || number > 2 ** 31 - 1)
    throw usage(`The key is a whole number: \`${table} 5\`; a note that a doctor has made has a negative one.`)
  return { table, key: number }
}

function tableOf(name: string): TableName {
  const wanted = name
    .toLowerCase()
    .replaceAll(/[[\]"]/g, '')
    .replace(/^(dbo|public)\./, '')
  const found = tables.find((table) => table.name === wanted || table.clinic.toLowerCase() === wanted)
  if (found !== undefined) return found.name
  const known = tables.map((table) => `${table.name} (${table.clinic} in the clinic)`).join(', ')
  throw usage(`${/^[\w.[\]]{1,80}$/.test(name) ? `${name} is` : 'That is'} no synced table. There are ${known}.`)
}

const usage = (message: string) => new SyncError('SYNC_USAGE', message)
