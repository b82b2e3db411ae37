import type { Database, Procedure } from '../engine/database.ts'
import { resultColumn } from '../engine/work.ts'
import { COLLATION, PRODUCT_VERSION } from '../run/properties.ts'
import { BIT, INT, nvarchar } from '../values/types.ts'

const COLUMNS = [resultColumn('Name', nvarchar(200)), resultColumn('Value', nvarchar(400))]

/** `sync.Inspect`: what the doctor command looks at. `names` are the capture triggers'. */
export function inspect(db: Database, names: readonly string[]): Procedure {
  return {
    name: 'Inspect',
    parameters: [],
    run() {
      const triggers = names.map((name) => {
        const trigger = db.triggers.find((t) => t.name === name)
        return [`trigger:${name}`, trigger === undefined ? 'missing' : db.isEnabled(trigger) ? 'enabled' : 'disabled']
      })
      const rows = [
        ['EngineVersion', PRODUCT_VERSION],
        ['DatabaseName', db.name],
        ['Collation', COLLATION],
        ['IsBrokerEnabled', '1'],
        ['IsReadCommittedSnapshot', '0'],
        ...triggers,
      ]
      return [{ columns: COLUMNS, rows, count: rows.length }]
    },
  }
}

/** `sync.WaitForChanges @TimeoutMs`: returns when a change has been committed since the last call; 0 waits for ever. */
export function waitForChanges(db: Database): Procedure {
  return {
    name: 'WaitForChanges',
    parameters: [{ name: 'TimeoutMs', type: INT }],
    async run(_work, [timeout], signal) {
      const rang = await db.bell.wait((timeout as number | null) ?? 0, signal)
      return [{ columns: [resultColumn('Rang', BIT)], rows: [[rang]], count: 1 }]
    },
  }
}
