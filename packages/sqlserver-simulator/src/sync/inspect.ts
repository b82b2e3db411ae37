import type { Database, Procedure } from '../engine/database.ts'
import { resultColumn } from '../engine/work.ts'
import { COLLATION, PRODUCT_VERSION } from '../run/properties.ts'
import { nvarchar } from '../values/types.ts'

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
        ['IsBrokerEnabled', db.broker.isEnabled ? '1' : '0'],
        ['IsReadCommittedSnapshot', '0'],
        ...triggers,
      ]
      return [{ columns: COLUMNS, rows, count: rows.length }]
    },
  }
}
