import { CANARY, CANARY_KEY, TOKEN_LENGTH } from '@clinic-sync/mapping'
import type { Procedure } from '../engine/database.ts'
import { Blocked, isBlocked } from '../engine/locks.ts'
import type { Row } from '../engine/row.ts'
import { resultColumn, type Work } from '../engine/work.ts'
import { complete, emptyRow, insertRows, updateRows } from '../engine/write.ts'
import { BIGINT, MAX, nvarchar, type SqlValue, type } from '../values/types.ts'
import { triggerName } from './capture.ts'
import { malformed } from './malformed.ts'
import type { Outbox } from './outbox.ts'
import { peekSetting } from './settings.ts'

const VERSION = type('varchar', 20)
const TOKEN = nvarchar(TOKEN_LENGTH)
/** The procedures' own SET LOCK_TIMEOUT. */
const LOCK_MS = 3_000

const SENT = [resultColumn('QueueID', VERSION), resultColumn('TriggerState', nvarchar(8))]

/** `sync.SendCanary @Token`: a change of the canary, as staff's changes are. */
export function sendCanary(outbox: Outbox): Procedure {
  return {
    name: 'SendCanary',
    parameters: [{ name: 'Token', type: nvarchar(MAX) }],
    lockTimeout: LOCK_MS,
    run(work, [token]) {
      if (typeof token !== 'string' || token.trimEnd().length < 1 || token.trimEnd().length > TOKEN_LENGTH)
        throw malformed(`sync.SendCanary: @Token must have from 1 to ${TOKEN_LENGTH} characters`)
      const table = work.db.table('sync', 'Canary')
      const row = canaryRow(work, 'U')
      const before = newest(outbox)
      if (row === null) {
        const values = emptyRow(work, table)
        values[0] = CANARY_KEY
        values[table.ordinal('ClinicToken')] = token
        insertRows(work, table, [complete(table, values)])
      } else {
        const values = row.values.slice()
        values[table.ordinal('ClinicToken')] = token
        updateRows(work, table, [{ row, values }])
      }
      const after = newest(outbox)
      const queued = after === undefined || after === before ? null : String(outbox.id(after))
      return [{ columns: SENT, rows: [[queued, triggerState(work)]], count: 1 }]
    },
  }
}

const STATE = [
  resultColumn('ClinicToken', TOKEN),
  resultColumn('PortalToken', TOKEN),
  resultColumn('Seen', VERSION),
  resultColumn('Held', nvarchar(400)),
  resultColumn('Status', nvarchar(20)),
  resultColumn('LastError', nvarchar(1000)),
  resultColumn('Version', VERSION),
  resultColumn('LastID', VERSION),
  resultColumn('LastStatus', nvarchar(20)),
  resultColumn('LastReason', nvarchar(1000)),
]

/** `sync.ReadCanary @QueueID`: how far it has come here. */
export function readCanary(outbox: Outbox): Procedure {
  return {
    name: 'ReadCanary',
    parameters: [{ name: 'QueueID', type: BIGINT }],
    lockTimeout: LOCK_MS,
    run(work, [id]) {
      const table = work.db.table('sync', 'Canary')
      const row = canaryRow(work, 'S')
      const token = (name: string) => row?.values[table.ordinal(name)] ?? null
      const asked = outbox.ofRecord(CANARY, CANARY_KEY).find((each) => outbox.id(each) === id)
      const last = newest(outbox)
      for (const each of [asked, last])
        if (each !== undefined && isBlocked(work.tx, each, 'S')) throw new Blocked(each, 'S')
      const of = (each: Row | undefined, column: keyof Outbox['at']) => each?.values[outbox.at[column]] ?? null
      const text = (value: SqlValue) => (value === null ? null : String(value))
      const values = [
        token('ClinicToken'),
        token('PortalToken'),
        seen(work),
        peekSetting(work, 'Restored'),
        of(asked, 'Status'),
        of(asked, 'LastError'),
        text(of(asked, 'EventVersion')),
        text(of(last, 'QueueID')),
        of(last, 'Status'),
        of(last, 'LastError'),
      ]
      return [{ columns: STATE, rows: [values], count: 1 }]
    },
  }
}

/** The canary's row, once nobody else holds it. @throws Blocked */
function canaryRow(work: Work, mode: 'S' | 'U'): Row | null {
  const row = work.db.table('sync', 'Canary').get(CANARY_KEY)
  if (row !== undefined && isBlocked(work.tx, row, mode)) throw new Blocked(row, mode)
  return row === undefined || row.deleted || row.gone ? null : row
}

/** The canary's newest row in the outbox, whoever has put it there. */
const newest = (outbox: Outbox): Row | undefined =>
  [...outbox.ofRecord(CANARY, CANARY_KEY)].sort((a, b) => (outbox.id(a) > outbox.id(b) ? -1 : 1))[0]

function seen({ db }: Work): string {
  const table = db.table('sync', 'RowState')
  const row = table.get(table.keyFor([CANARY, CANARY_KEY]))
  return row === undefined || row.deleted ? '0' : String(row.values[table.ordinal('SeenPortalVersion')] ?? 0n)
}

function triggerState({ db }: Work): string {
  const found = db.triggers.find(({ name }) => name === triggerName('Canary'))
  if (found === undefined) return 'missing'
  return db.isEnabled(found) ? 'enabled' : 'disabled'
}
