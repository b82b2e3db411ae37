import type { Database } from './database.ts'
import type { Table } from './table.ts'

/** Rows of a table that a transaction has just written. */
export interface Written {
  /** Its name, without the schema. */
  readonly table: string
  readonly keys: readonly number[]
}

/**
 * Tells at each commit what statements wrote into some tables, whoever's they were, each statement by itself. As a trigger of theirs,
 * the last: it sees what a statement has changed, and costs nothing until then.
 *
 * @returns ends it
 */
export function watchCommits(db: Database, tables: readonly Table[], onCommit: (written: Written) => void): () => void {
  let watching = true
  for (const table of tables) {
    const [key = 0] = table.key
    db.addTrigger({
      name: `watched_${table.definition.name}`,
      table,
      fire(work, changes) {
        if (!watching || changes.length === 0) return
        const keys = changes.map(({ before, after }) => (after ?? before)?.[key] as number)
        work.tx.did(
          () => undefined,
          () => onCommit({ table: table.definition.name, keys }),
        )
      },
    })
  }
  return () => {
    watching = false
  }
}
