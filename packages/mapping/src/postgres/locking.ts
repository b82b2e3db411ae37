import type { Table } from '../types.ts'
import { portalTable } from './common.ts'

/** What a record that gives way is told. The consumer tries such a record again within milliseconds. */
export const HELD = { code: '55P03', reason: 'locked in the portal' } as const

/**
 * Notes in `held` the records of a table whose row is there and somebody else's: it is seen, as a row is whose delete is not
 * committed yet, but SKIP LOCKED left it out. Looked for only then: both look-ups are of one statement's snapshot. A row to be deleted is locked as a delete does; others so that a child's foreign
 * key check does not wait for them, nor they for it.
 */
const lockRows = ({ name, key }: Table) => {
  const mine = (condition: string, strength: string) => `LEFT JOIN LATERAL (
      SELECT true AS locked FROM ${portalTable(name)} AS t
      WHERE t.${key.name} = h.key AND ${condition} FOR ${strength} SKIP LOCKED
    )`
  return `IF '${name}' = ANY (names) THEN
  held := held || ARRAY(
    SELECT h.ordinal
    FROM (
      SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
      WHERE u.name = '${name}' ORDER BY u.key OFFSET 0
    ) AS h
    ${mine('NOT h.deleted', 'NO KEY UPDATE')} AS kept ON true
    ${mine('h.deleted', 'UPDATE')} AS doomed ON true
    CROSS JOIN LATERAL (
      SELECT FROM ${portalTable(name)} AS t
      WHERE t.${key.name} = h.key AND kept.locked IS NULL AND doomed.locked IS NULL OFFSET 0
    ) AS here
  );
END IF;
`
}

/**
 * The rows that go with a doomed parent: where one of them is held, the parent is. None can be added to it meanwhile: its foreign
 * key check waits for the parent's lock, and one that was added and is not committed yet has kept us from getting that.
 */
const lockChildren = ({ name }: Table, child: Table, column: string) => {
  const [table, key] = [portalTable(child.name), child.key.name]
  return `IF '${name}' = ANY (names) AND true = ANY (deletions) THEN
  held := held || ARRAY(
    SELECT h.ordinal
    FROM (
      SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
      WHERE u.name = '${name}' AND u.deleted AND u.ordinal <> ALL (held) ORDER BY u.key OFFSET 0
    ) AS h
    CROSS JOIN LATERAL (SELECT c.${key} AS key FROM ${table} AS c WHERE c.${column} = h.key ORDER BY 1 OFFSET 0) AS here
    LEFT JOIN LATERAL (
      SELECT true AS locked FROM ${table} AS c WHERE c.${key} = here.key FOR UPDATE SKIP LOCKED
    ) AS mine ON true
    WHERE mine.locked IS NULL
  );
END IF;
`
}

/** The rows that the clinic's delete of a row of \`table\` takes along, whether or not the portal's foreign key cascades. */
export const childrenOf = (table: Table, tables: readonly Table[]) =>
  tables.flatMap((child) =>
    child.parents
      .filter((parent) => parent.table === table.name && child.deletes.clinic === 'propagate')
      .map(({ column }) => ({ child, column })),
  )

/** Takes the locks on a table's part of the batch without waiting, in key order. */
export const lockStatements = (table: Table, tables: readonly Table[]) =>
  lockRows(table) +
  childrenOf(table, tables)
    .map(({ child, column }) => lockChildren(table, child, column))
    .join('')
