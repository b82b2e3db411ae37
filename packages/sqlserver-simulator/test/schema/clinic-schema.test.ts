import { readFile } from 'node:fs/promises'
import { allColumns, tables } from '@clinic-sync/mapping'
import t from 'tap'
import { clinicTables } from '../../src/schema/clinic.ts'
import { openDatabase } from '../../src/schema/open.ts'
import { parseType } from '../../src/values/types.ts'

const script = await readFile(new URL('../../clinic-schema.sql', import.meta.url), 'utf8')

/** A table's column lines in the script: name, type and whether it takes NULL. Computed ones have no type there. */
function columnsOf(table: string): Map<string, { type: string | null; nullable: boolean }> {
  const body = script.split(`CREATE TABLE dbo.${table} (`)[1]?.split('\nGO')[0] ?? ''
  const found = new Map<string, { type: string | null; nullable: boolean }>()
  for (const line of body.split('\n')) {
    const stored =
      /^ {2}(\w+) (n?(?:var)?char\([\w]+\)|decimal\(\d+,\d+\)|datetime2\(\d\)|\w+)(?=\s).*?\b(NOT NULL|NULL)/.exec(line)
    const computed = /^ {2}(\w+) AS \(/.exec(line)
    if (computed) found.set(computed[1] as string, { type: null, nullable: true })
    else if (stored && stored[1] !== 'CONSTRAINT')
      found.set(stored[1] as string, { type: stored[2] as string, nullable: stored[3] === 'NULL' })
  }
  return found
}

for (const table of clinicTables) {
  t.test(`${table.name} is the same in clinic-schema.sql`, async (t) => {
    const written = columnsOf(table.name)
    const here = table.columns.filter((c) => !c.volatile)
    t.same(
      [...written.keys()],
      here.map((c) => c.name),
    )
    for (const column of here) {
      const there = written.get(column.name)
      if (column.computed !== null) t.equal(there?.type, null, column.name)
      else
        t.same(
          { type: parseType(there?.type ?? ''), nullable: there?.nullable },
          { type: column.type, nullable: column.nullable },
          column.name,
        )
    }
    for (const { name } of [table.primaryKey, ...table.unique, ...table.foreignKeys, ...table.checks])
      t.match(script, `CONSTRAINT ${name} `)
  })
}

t.test("the mapping's columns are there, with the types it says", async (t) => {
  const db = openDatabase('clinic')
  for (const mapped of tables) {
    const { columns } = db.relation('dbo', mapped.clinic)
    for (const column of allColumns(mapped)) {
      const found = columns.find((c) => c.name === column.clinic)
      t.same(found?.type, parseType(column.clinicType), `${mapped.clinic}.${column.clinic}`)
    }
  }
})
