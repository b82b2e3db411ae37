import t from 'tap'
import {
  allColumns,
  CANARY,
  isTableName,
  syncedTables,
  syncsBack,
  tableNamed,
  TABLE_NAMES,
  tables,
} from '../src/index.ts'

t.test('parents stand before their children', async (t) => {
  const order = tables.map((table) => table.name)
  for (const table of tables) {
    for (const parent of table.parents) {
      t.ok(order.indexOf(parent.table) < order.indexOf(table.name), `${parent.table} before ${table.name}`)
      t.ok(
        allColumns(table).some((column) => column.name === parent.column),
        `${table.name}.${parent.column} is a column`,
      )
    }
  }
})

t.test('a scope by reference has a table that refers to it', async (t) => {
  for (const table of tables) {
    if (table.scope.kind === 'referenced') {
      const by = tableNamed(table.scope.by)
      t.ok(
        by.parents.some((parent) => parent.table === table.name),
        `${by.name} refers to ${table.name}`,
      )
    }
    if (table.scope.kind === 'except') {
      const { column } = table.scope
      t.ok(
        table.columns.some(({ name }) => name === column),
        `${table.name}.${column} is a column`,
      )
    }
  }
})

t.test('column names are unique on each side', async (t) => {
  for (const table of tables) {
    const columns = allColumns(table)
    t.equal(new Set(columns.map(({ name }) => name)).size, columns.length, `${table.name} in the portal`)
    t.equal(new Set(columns.map(({ clinic }) => clinic)).size, columns.length, `${table.name} in the clinic`)
  }
})

t.test('exactly these columns are shared', async (t) => {
  const shared = tables.flatMap((table) =>
    table.columns.filter((column) => column.owner === 'shared').map((column) => `${table.name}.${column.name}`),
  )
  t.same(shared, [
    'aligner_batches.days',
    'aligner_notes.note_text',
    'aligner_notes.is_edited',
    'aligner_notes.edited_at',
    'aligner_notes.is_read',
  ])
})

t.test('a computed column is never shared: it could not be written in the clinic', async (t) => {
  for (const table of tables) {
    for (const column of table.columns)
      t.notOk(column.computed && column.owner === 'shared', `${table.name}.${column.name}`)
  }
})

t.test('the canary is synced both ways, and is none of the clinic’s tables', async (t) => {
  t.strictSame(
    tables.map(({ name }) => name),
    TABLE_NAMES,
  )
  t.strictSame(syncedTables.slice(0, -1), tables)
  const canary = tableNamed(CANARY)
  t.equal(syncedTables.at(-1), canary)
  t.ok(canary.isOurs && syncsBack(canary) && isTableName(CANARY))
  t.notOk(tables.some(({ isOurs }) => isOurs))
  t.strictSame(
    canary.columns.map(({ name, owner }) => `${name} ${owner}`),
    ['clinic_token clinic', 'portal_token shared'],
    'no column that both write: no trace makes a conflict',
  )
})

t.test('table names', async (t) => {
  t.ok(isTableName('patients'))
  t.notOk(isTableName('tblpatients'))
  t.notOk(isTableName('toString'), 'no names from the prototype')
})
