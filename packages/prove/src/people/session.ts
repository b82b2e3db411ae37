import type { Key, Row } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'

/** A record that went with another one. */
export interface Gone {
  readonly table: TableName
  readonly key: Key
  readonly row: Row
}

/** One person at one of the databases: one transaction at a time, rows in the portal's names and in wire form. */
export interface Session {
  begin(): Promise<void>
  /** Holds the record until the end of the transaction. Its columns but the key; null: it is not there. */
  hold(table: TableName, key: Key): Promise<Row | null>
  update(table: TableName, key: Key, changes: Row): Promise<void>
  /** @param key null: the database's next. @returns the new record's key */
  insert(table: TableName, key: Key | null, row: Row): Promise<Key>
  /** Deletes the record, and says what went with it; the record itself included, last. */
  remove(table: TableName, key: Key): Promise<readonly Gone[]>
  /** A payment for a set. Staff only. */
  pay(set: Key, amount: number): Promise<void>
  commit(): Promise<void>
  rollback(): Promise<void>
  close(): Promise<void>
}

/**
 * The database refused a statement for a reason that lies in the data: the record is there already, or what it refers to is
 * gone. Another person, or the sync, was faster; it is no fault.
 */
export class Refused extends Error {
  override name = 'Refused'
}
