import type { Key, Row } from '@clinic-sync/contracts'
import { sharedColumns, type Table } from '@clinic-sync/mapping'
import { portalAddress } from '@clinic-sync/portal'
import { DatabaseError, SyncError } from '@clinic-sync/sync'
import pg from 'pg'

/** A record that the sides do not agree on. */
export interface Differing {
  readonly key: Key
  /** Null: it has none. */
  readonly clinic: Row | null
  readonly portal: Row
}

/** Rows a statement: each carries two rows' shared columns. */
const PORTION = 200

/** What of the portal only the role that owns its tables may do. */
export interface PortalSide {
  /** Records that the sync has dealt with: its rules are for them, not ours. */
  dealtWith(table: Table): Promise<ReadonlySet<Key>>
  /** Gives records of doctors keys of the portal's own, and puts them into the outbox as new. @returns how many were moved. */
  moveKeys(table: Table, keys: readonly Key[]): Promise<number>
  /** Puts doctors' edits into the outbox, on top of what the clinic has; both sides' values go on record. */
  sendEdits(table: Table, rows: readonly Differing[]): Promise<void>
  /** Puts on record what the clinic's changes, which are on their way, will overwrite. */
  keepOverwritten(table: Table, rows: readonly Differing[]): Promise<void>
  close(): Promise<void>
}

const SENT = 'the original system had not brought it to the clinic: sent now, over what the clinic had'
const OVERWRITTEN = 'the original system had not brought the clinic’s change here: the clinic’s values stand'

/**
 * @param url with the role that owns the portal's tables.
 * @throws DatabaseError if it cannot be reached.
 */
export async function openPortalSide(url: string): Promise<PortalSide> {
  const client = new pg.Client({
    ...portalAddress(url, 'POSTGRES_ADMIN_URL'),
    application_name: 'clinic-sync take-over',
  })
  client.on('error', () => undefined)
  await said(() => client.connect())

  /** In one transaction, in which only what is asked for is captured. */
  const quietly = <T>(work: () => Promise<T>): Promise<T> =>
    said(async () => {
      await client.query(
        "BEGIN; SELECT set_config('sync.applying', 'on', true), set_config('lock_timeout', '5s', true)",
      )
      try {
        const result = await work()
        await client.query('COMMIT')
        return result
      } catch (error) {
        await client.query('ROLLBACK').catch(() => undefined)
        throw error
      }
    })

  const keep = (table: Table, rows: readonly Differing[], reason: string) =>
    client.query(
      `INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row, reason)
       SELECT $1::text, u.key, 0, 0, u.clinic, u.portal, $2::text
       FROM jsonb_to_recordset($3::jsonb) AS u (key integer, clinic jsonb, portal jsonb)
       WHERE NOT EXISTS (SELECT FROM sync.lost_edits AS l
         WHERE l.table_name = $1::text AND l.record_id = u.key AND l.reason = $2::text AND l.lost_row = u.portal)`,
      [table.name, reason, JSON.stringify(rows.map((row) => sharedOf(table, row)))],
    )

  return {
    dealtWith: (table) =>
      said(async () => {
        const { rows } = await client.query<{ record_id: number }>(
          'SELECT record_id FROM sync.row_state WHERE table_name = $1 AND clinic_version > 0',
          [table.name],
        )
        return new Set(rows.map(({ record_id }) => record_id))
      }),

    async moveKeys(table, keys) {
      const { name, key } = table
      let moved = 0
      for (const portion of portions(keys))
        await quietly(async () => {
          // What a doctor changed in one of them since the migration is in the row that goes.
          await client.query(
            `UPDATE sync.queue SET status = 'Synced', last_attempt = now(), last_error = 'superseded: it has a key of the portal''s own'
             WHERE table_name = $1 AND record_id = ANY ($2) AND status <> 'Synced'`,
            [name, portion],
          )
          await client.query(
            'UPDATE sync.row_state SET since = NULL, base = NULL WHERE table_name = $1 AND record_id = ANY ($2)',
            [name, portion],
          )
          const { rows } = await client.query<{ key: number }>(
            `UPDATE public.${quoted(name)} AS t SET ${quoted(key.name)} = nextval($1::regclass) WHERE t.${quoted(key.name)} = ANY ($2)
             RETURNING t.${quoted(key.name)} AS key`,
            [`public.${name}_portal_${key.name}_seq`, portion],
          )
          await client.query(
            "SELECT sync.capture_edit($1, u.key, 'INSERT', NULL) FROM unnest($2::integer[]) AS u (key)",
            [name, rows.map((row) => Number(row.key))],
          )
          moved += rows.length
        })
      return moved
    },

    async sendEdits(table, all) {
      for (const rows of portions(all))
        await quietly(async () => {
          await keep(table, rows, SENT)
          // One that a doctor has edited since the migration is on its way by itself: with what it was then as its base.
          await client.query(
            `UPDATE sync.row_state AS s SET base = u.clinic FROM jsonb_to_recordset($2::jsonb) AS u (key integer, clinic jsonb)
             WHERE s.table_name = $1 AND s.record_id = u.key AND s.since IS NOT NULL`,
            [table.name, JSON.stringify(rows.map((row) => sharedOf(table, row)))],
          )
          await client.query(
            `SELECT sync.capture_edit($1::text, u.key, 'UPDATE', u.clinic) FROM jsonb_to_recordset($2::jsonb) AS u (key integer, clinic jsonb)
             WHERE NOT EXISTS (SELECT FROM sync.row_state AS s
               WHERE s.table_name = $1::text AND s.record_id = u.key AND s.local_version > 0)`,
            [table.name, JSON.stringify(rows.map((row) => sharedOf(table, row)))],
          )
        })
    },

    async keepOverwritten(table, all) {
      for (const rows of portions(all)) await quietly(() => keep(table, rows, OVERWRITTEN))
    },

    close: () => client.end(),
  }
}

/** Names of tables and columns, from the mapping. */
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

function sharedOf(table: Table, { key, clinic, portal }: Differing) {
  const pick = (row: Row) => Object.fromEntries(sharedColumns(table).map(({ name }) => [name, row[name] ?? null]))
  return clinic === null ? { key, clinic, portal } : { key, clinic: pick(clinic), portal: pick(portal) }
}

function* portions<T>(all: readonly T[]): Generator<T[]> {
  for (let i = 0; i < all.length; i += PORTION) yield all.slice(i, i + PORTION)
}

/** Postgres's own messages may quote a row's values: only the SQLSTATE is told. */
async function said<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof SyncError) throw cause
    const number = cause instanceof pg.DatabaseError ? cause.code : undefined
    if (number === '42501')
      throw new SyncError(
        'SYNC_MIGRATION_FAILED',
        "Taking over needs the role that owns the portal's tables: name it in POSTGRES_ADMIN_URL.",
        { cause },
      )
    if (number === '42P01' || number === '3F000')
      throw new SyncError('SYNC_NOT_MIGRATED', "The portal's schema sync is missing or incomplete.", { cause })
    throw new DatabaseError(
      'down',
      `The portal failed while it was taken over${number ? ` (SQLSTATE ${number})` : ''}.`,
      {
        ...(number === undefined ? {} : { number }),
        cause,
      },
    )
  }
}
