import type { Table } from '../types.ts'
import { portalTable } from './common.ts'
import { childrenOf } from './locking.ts'

/**
 * Settles the outbox rows of edits that go with their row: those not sent yet, and those that the clinic could not take. Nothing
 * can come of either any more, and what was written is in sync.lost_edits; a row left Failed would call for help for ever. Why
 * it had failed stays readable. Rows that are Queued are the clinic's to rule on.
 */
const SUPERSEDED = `
      status = 'Synced', last_attempt = now(), last_error = left(
        concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
      )`

/**
 * Deletes the rows that refer to a doomed parent. Those that the clinic has are followed by their own deletes, which settle
 * their bookkeeping. An edit that the clinic has not ruled on, such as a doctor's new note, or that it could not take, goes
 * on record here: a new note that was sent may reach the clinic after its set has gone, and nothing of it be recorded there. All
 * of them are locked already.
 */
const deleteChildren = (child: Table, column: string) => {
  const [name, key] = [child.name, child.key.name]
  return `  WITH gone AS (
    DELETE FROM ${portalTable(name)} AS c WHERE c.${column} = ANY (doomed)
    RETURNING c.${key} AS key, to_jsonb(c) AS lost
  ), pending AS (
    UPDATE sync.queue AS q SET${SUPERSEDED}
    FROM gone AS g
    WHERE q.table_name = '${name}' AND q.record_id = g.key AND q.status IN ('Pending', 'Failed')
    RETURNING q.record_id
  ), noted AS (
    UPDATE sync.row_state AS s SET since = NULL, base = NULL
    WHERE s.table_name = '${name}' AND s.record_id IN (SELECT p.record_id FROM pending AS p)
  )
  INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
  SELECT s.table_name, s.record_id, s.clinic_version, s.local_version, s.base, g.lost
  FROM gone AS g
  JOIN sync.row_state AS s ON s.table_name = '${name}' AND s.record_id = g.key
  WHERE EXISTS (
    SELECT FROM sync.queue AS q WHERE q.table_name = '${name}' AND q.record_id = g.key AND q.status <> 'Synced'
  );
`
}

/** Deletes a table's part of the batch. Rows that refer to it go first, whether or not the portal's foreign key cascades. */
export function deleteStatements(table: Table, tables: readonly Table[]): string {
  const { key, name } = table
  const children = childrenOf(table, tables).map(({ child, column }) => deleteChildren(child, column))
  return `SELECT array_agg(h.key ORDER BY h.key) INTO doomed
FROM unnest(names, keys, deletions, verdicts) AS h (name, key, deleted, verdict)
WHERE h.name = '${name}' AND h.verdict = 'write' AND h.deleted;
IF doomed IS NOT NULL THEN
${children.join('')}  RETURN QUERY
  WITH gone AS (
    DELETE FROM ${portalTable(name)} AS t WHERE t.${key.name} = ANY (doomed)
    RETURNING t.${key.name} AS key, to_jsonb(t) AS lost
  ), pending AS (
    UPDATE sync.queue AS q SET${SUPERSEDED}
    WHERE q.table_name = '${name}' AND q.record_id = ANY (doomed) AND q.status IN ('Pending', 'Failed')
    RETURNING q.record_id, q.queue_id, q.operation
  ), superseded AS MATERIALIZED (
    SELECT p.record_id
    FROM pending AS p
    WHERE p.operation <> 'DELETE'
      AND NOT EXISTS (SELECT FROM pending AS n WHERE n.record_id = p.record_id AND n.queue_id > p.queue_id)
    UNION
    -- Sent, and not ruled on yet. The clinic will put it on record as well, unless it brings the row back first and a newer
    -- edit overtakes this one.
    SELECT g.key
    FROM gone AS g JOIN unnest(names, keys, ruled, in_flight) AS h (name, key, ruled, in_flight)
      ON h.name = '${name}' AND h.key = g.key
    WHERE h.in_flight AND NOT h.ruled
  ), recorded AS (
    INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
    SELECT s.table_name, s.record_id, h.version, s.local_version, s.base, g.lost
    FROM superseded AS p
    JOIN sync.row_state AS s ON s.table_name = '${name}' AND s.record_id = p.record_id
    JOIN unnest(names, keys, versions) AS h (name, key, version) ON h.name = '${name}' AND h.key = p.record_id
    LEFT JOIN gone AS g ON g.key = p.record_id
  ), noted AS (
    UPDATE sync.row_state AS s SET clinic_version = h.version, since = NULL, base = NULL
    FROM unnest(names, versions, deletions, verdicts, places, fresh)
      AS h (name, version, deleted, verdict, place, fresh)
    WHERE s.ctid = h.place AND h.name = '${name}' AND h.verdict = 'write' AND h.deleted AND NOT h.fresh
  )
  SELECT
    h.ordinal,
    CASE WHEN p.record_id IS NOT NULL THEN 'conflict' WHEN g.key IS NOT NULL THEN 'applied' ELSE 'unchanged' END,
    NULL::text,
    CASE WHEN p.record_id IS NOT NULL THEN 'the clinic deleted it; the doctor''s edits went with it' END
  FROM unnest(ordinals, names, keys, deletions, verdicts) AS h (ordinal, name, key, deleted, verdict)
  LEFT JOIN superseded AS p ON p.record_id = h.key
  LEFT JOIN gone AS g ON g.key = h.key
  WHERE h.name = '${name}' AND h.verdict = 'write' AND h.deleted;
END IF;
`
}
