import { CANARY_KEY, TOKEN_LENGTH } from '../tables/index.ts'
import { CANARY } from '../types.ts'
import { refuse } from './arguments.ts'
import { literal, procedure } from './text.ts'

/** As the capture script names it; here, since that imports this. */
const TRIGGER = 'trg_sync_Canary'

const PREAMBLE = `SET XACT_ABORT ON
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 3000`

const OF_CANARY = `q.TableName = ${literal(CANARY)} AND q.RecordID = ${CANARY_KEY}`

/** The trigger as sync.Inspect tells it of the others; NULL: this login may not see it. */
const TRIGGER_STATE = `CASE WHEN OBJECT_ID(N'sync.Canary') IS NULL THEN NULL ELSE COALESCE(
    (SELECT CASE WHEN t.is_disabled = 1 THEN N'disabled' ELSE N'enabled' END FROM sys.triggers t
      WHERE t.name = N'${TRIGGER}' AND t.parent_id = OBJECT_ID(N'sync.Canary')), N'missing') END`

/** The canary's table and its one row. */
export function canaryTable(): string {
  return `-- The canary that \`npm run sync -- trace\` sends round: one row, no person's data. Made before its trigger, so that nothing of its making
-- is captured: services of the version before do not know it.
IF OBJECT_ID(N'sync.Canary', N'U') IS NULL
CREATE TABLE sync.Canary (
  CanaryID int NOT NULL CONSTRAINT PK_sync_Canary PRIMARY KEY,
  -- Written here only, and in the portal only.
  ClinicToken nvarchar(${TOKEN_LENGTH}) NULL,
  PortalToken nvarchar(${TOKEN_LENGTH}) NULL
)
GO
IF NOT EXISTS (SELECT 1 FROM sync.Canary) INSERT INTO sync.Canary (CanaryID) VALUES (${CANARY_KEY})`
}

/** `sync.SendCanary`: a change of the canary, as staff's changes are. */
export function sendCanary(): string {
  return procedure(
    'sync.SendCanary',
    '@Token nvarchar(max)',
    `
-- Writes the canary, which its trigger captures and the doorbell rings for. One row: QueueID (varchar) of what the trigger put into the
-- outbox, NULL where it did not; TriggerState, 'enabled', 'disabled' or 'missing'. Repeated with the same token it changes nothing.
SET NOCOUNT ON
${refuse(51200, `@Token IS NULL OR LEN(@Token) NOT BETWEEN 1 AND ${TOKEN_LENGTH}`, `sync.SendCanary: @Token must have from 1 to ${TOKEN_LENGTH} characters`)}
${PREAMBLE}
DECLARE @there int = 0, @before bigint, @queued bigint

BEGIN TRANSACTION
-- Its lock first: what the outbox has of it then was there before.
SELECT @there = COUNT(*) FROM sync.Canary c WITH (UPDLOCK, ROWLOCK) WHERE c.CanaryID = ${CANARY_KEY}
SELECT @before = COALESCE(MAX(q.QueueID), 0) FROM dbo.SyncQueue q WITH (READUNCOMMITTED) WHERE ${OF_CANARY}
IF @there = 0
  INSERT INTO sync.Canary (CanaryID, ClinicToken) VALUES (${CANARY_KEY}, @Token)
ELSE
  UPDATE sync.Canary SET ClinicToken = @Token WHERE CanaryID = ${CANARY_KEY}
SELECT @queued = MAX(q.QueueID) FROM dbo.SyncQueue q WITH (READUNCOMMITTED) WHERE ${OF_CANARY} AND q.QueueID > @before
COMMIT TRANSACTION

SELECT CONVERT(varchar(20), @queued) AS QueueID, ${TRIGGER_STATE} AS TriggerState

SET LOCK_TIMEOUT -1`,
  )
}

/** `sync.ReadCanary`: how far it has come here. */
export function readCanary(): string {
  return procedure(
    'sync.ReadCanary',
    '@QueueID bigint',
    `
-- What the clinic knows of the canary. One row: ClinicToken, PortalToken; Seen, the portal's version processed last; Held, why the portal's
-- changes are held up (NULL: they are not); Status, LastError and Version of the outbox row @QueueID (NULL: purged, or never there); and
-- LastID, LastStatus, LastReason, of its newest outbox row. Marks nothing.
SET NOCOUNT ON
${PREAMBLE}

SELECT c.ClinicToken, c.PortalToken,
  CONVERT(varchar(20), COALESCE((SELECT s.SeenPortalVersion FROM sync.RowState s
    WHERE s.TableName = ${literal(CANARY)} AND s.RecordID = ${CANARY_KEY}), 0)) AS Seen,
  (SELECT MAX(s.Value) FROM sync.Settings s WHERE s.Name = N'Restored') AS Held,
  q.Status, q.LastError, CONVERT(varchar(20), q.EventVersion) AS Version,
  CONVERT(varchar(20), n.QueueID) AS LastID, n.Status AS LastStatus, n.LastError AS LastReason
FROM (SELECT 1 AS One) o
  LEFT JOIN sync.Canary c ON c.CanaryID = ${CANARY_KEY}
  LEFT JOIN dbo.SyncQueue q ON q.QueueID = @QueueID AND ${OF_CANARY}
  LEFT JOIN dbo.SyncQueue n ON n.QueueID = (SELECT MAX(q.QueueID) FROM dbo.SyncQueue q WHERE ${OF_CANARY})

SET LOCK_TIMEOUT -1`,
  )
}
