import { TOKEN_LENGTH } from '@clinic-sync/mapping'
import { nowDatetime2 } from '../engine/clock.ts'
import { column as c, type TableDefinition, table } from '../engine/definition.ts'

const key = (name: string, type: string) => c(name, type, { nullable: false })
const now = { default: () => nowDatetime2(3), nullable: false }

/** What the migrations add. `nextId` is NEXT VALUE FOR sync.QueueIDs, `nextConflict` the conflict log's next key. */
export const syncTables = (nextId: () => bigint, nextConflict: () => bigint): readonly TableDefinition[] => [
  table(
    'dbo',
    'SyncQueue',
    [
      c('QueueID', 'bigint', { nullable: false, default: nextId }),
      key('TableName', 'nvarchar(100)'),
      key('RecordID', 'int'),
      key('Operation', 'nvarchar(20)'),
      c('JsonData', 'nvarchar(max)'),
      c('Status', 'nvarchar(20)', { nullable: false, default: () => 'Pending' }),
      c('CreatedAt', 'datetime2(3)', now),
      c('Attempts', 'int', { nullable: false, default: () => 0 }),
      c('LastAttempt', 'datetime2(3)'),
      c('LastError', 'nvarchar(1000)'),
      c('EventVersion', 'bigint'),
      c('SessionID', 'int', { default: (session) => session }),
    ],
    { indexes: [['TableName', 'RecordID']] },
  ),
  // Where an original's outbox is set aside; there is none otherwise.
  table('dbo', 'SyncQueue_original', [
    key('QueueID', 'bigint'),
    c('TableName', 'nvarchar(100)'),
    c('RecordID', 'int'),
    c('Operation', 'nvarchar(20)'),
    c('JsonData', 'nvarchar(max)'),
    c('Status', 'nvarchar(20)'),
    c('CreatedAt', 'datetime2(3)'),
    c('Attempts', 'int'),
    c('LastAttempt', 'datetime2(3)'),
    c('LastError', 'nvarchar(1000)'),
  ]),
  table(
    'sync',
    'RowState',
    [
      key('TableName', 'nvarchar(100)'),
      key('RecordID', 'int'),
      c('SeenPortalVersion', 'bigint', { nullable: false, default: () => 0n }),
      c('PortalValues', 'nvarchar(max)'),
    ],
    { primaryKey: { name: 'PK_RowState', columns: ['TableName', 'RecordID'] } },
  ),
  table('sync', 'Conflicts', [
    c('ConflictID', 'bigint', { nullable: false, default: nextConflict }),
    key('TableName', 'nvarchar(100)'),
    key('RecordID', 'int'),
    c('ColumnName', 'nvarchar(128)'),
    c('ClinicValue', 'nvarchar(max)'),
    c('PortalValue', 'nvarchar(max)'),
    c('BaseValue', 'nvarchar(max)'),
    key('Ruling', 'nvarchar(20)'),
    key('PortalVersion', 'bigint'),
    c('RuledAt', 'datetime2(3)', now),
  ]),
  table('sync', 'Canary', [
    key('CanaryID', 'int'),
    c('ClinicToken', `nvarchar(${TOKEN_LENGTH})`),
    c('PortalToken', `nvarchar(${TOKEN_LENGTH})`),
  ]),
  table('sync', 'Settings', [key('Name', 'nvarchar(100)'), c('Value', 'nvarchar(1000)')]),
  table('sync', 'Migrations', [
    key('Name', 'nvarchar(200)'),
    key('Checksum', 'char(64)'),
    c('AppliedAt', 'datetime2(3)', now),
  ]),
  table('sync', 'Backfill', [
    key('TableName', 'nvarchar(100)'),
    c('LastKey', 'int'),
    c('Done', 'int', { nullable: false, default: () => 0 }),
    c('Total', 'int', { nullable: false, default: () => 0 }),
    c('FinishedAt', 'datetime2(3)'),
  ]),
]
