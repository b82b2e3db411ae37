import { type Table, tables } from '@clinic-sync/mapping'
import t from 'tap'
import { type SqlBatch, shippedFiles } from '../support/tsql/files.ts'
import { codeOf } from '../support/tsql/tokens.ts'

/** What a batch that makes that object says, blanks aside. */
function codeMaking(what: string): string {
  const makes = ({ tokens }: SqlBatch) => codeOf(tokens.slice(0, 5)).replace(/^(?:CREATE|ALTER) /, '') === what
  const found = shippedFiles().flatMap(({ batches }) => batches.filter(makes))
  return found.length === 1 && found[0] ? found[0].tokens.map(({ text }) => text).join(' ') : `${found.length} batches`
}

const triggerOf = (clinicTable: string) => codeMaking(`TRIGGER DBO . trg_sync_${clinicTable}`)

/** Whether the code has that alias' column: i . Phone */
const has = (code: string, alias: string, column: string) =>
  new RegExp(`(?<![\\w.])${alias} \\. ${column}(?!\\w)`).test(code)

const own = tables.filter(({ clinicIsView }) => !clinicIsView)

t.test('every mapped column is compared in its table’s trigger, before and after', async (t) => {
  for (const { clinic, columns } of own) {
    const trigger = triggerOf(clinic)
    for (const column of columns)
      for (const alias of ['i', 'd']) t.ok(has(trigger, alias, column.clinic), `${clinic}: ${alias}.${column.clinic}`)
  }
})

t.test('texts are compared as bytes: the collation would call them equal', async (t) => {
  for (const { clinic, columns } of own) {
    const trigger = triggerOf(clinic)
    for (const column of columns.filter(({ type }) => type === 'text'))
      for (const alias of ['i', 'd'])
        t.ok(
          trigger.includes(`CAST ( ${alias} . ${column.clinic} AS varbinary ( max ) )`),
          `${clinic}.${column.clinic}`,
        )
  }
})

t.test('every column that a record is computed from is in its table’s trigger', async (t) => {
  for (const { name, sources } of tables)
    for (const source of sources) {
      const trigger = triggerOf(source.table)
      for (const column of [source.key, ...source.columns.map(({ clinic }) => clinic)])
        t.ok(has(trigger, 'x', column), `${name}: ${source.table}.${column}`)
    }
})

t.test('every mapped column is read, under the portal’s name', async (t) => {
  const code = codeMaking('PROCEDURE SYNC . READRECORDS')
  const read = (table: Table) =>
    [table.key, ...table.columns].filter(({ clinic, name }) => {
      const at = new RegExp(`(?<!\\w)t \\. ${clinic} [^.]{0,40}AS ${name}(?!\\w)`)
      return !at.test(code)
    })
  for (const table of tables)
    t.same(
      read(table).map(({ name }) => name),
      [],
      table.name,
    )
})

t.test('sync.Inspect looks at every trigger and every table', async (t) => {
  const code = codeMaking('PROCEDURE SYNC . INSPECT')
  for (const { clinic } of own) {
    t.ok(code.includes(`trg_sync_${clinic}`), clinic)
    t.match(code, new RegExp(`(?<!\\w)${clinic}(?!\\w)`))
  }
})

t.test('a column that is in no trigger would be found', async (t) => {
  t.notOk(has('i . Phone2 , i . [ x', 'i', 'Phone'))
  t.notOk(has(triggerOf('tblpatients'), 'i', 'NoSuchColumn'))
  t.match(codeMaking('TRIGGER DBO . nobody'), '0 batches')
})
