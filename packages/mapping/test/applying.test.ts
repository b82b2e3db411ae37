// The clinic's side of the merge, as T-SQL. What it does is tested against engines, in packages/sqlserver-simulator/test/contract;
// here is what no engine at hand would notice.
import t from 'tap'
import { boolean, codePageText, date, decimal, instant, int, table, text } from '../src/define.ts'
import { syncedTables, syncsBack, tableNamed } from '../src/index.ts'
import { applyingScript } from '../src/tsql/applying.ts'
import { readRow, typed, variable, wire } from '../src/tsql/applying-column.ts'
import { limitsOf } from '../src/tsql/applying-limits.ts'
import { roleScript, SERVICE_PROCEDURES } from '../src/tsql/role.ts'

const script = applyingScript(syncedTables)
const batches = script.split(/^GO$/m)
const apply = batches.find((batch) => batch.includes('ALTER PROCEDURE sync.ApplyPortalChanges')) ?? ''

/** A table that both sides insert into, with one column of each type. */
const example = table('aligner_notes', {
  clinic: 'X',
  key: int('id', 'ID', { notNull: true }),
  columns: [
    text('name', 'Na]me', 5, { shared: 'clinic-wins' }),
    codePageText('kind', 'Kind', 20, { notNull: true }),
    int('count', 'Count', { shared: 'portal-wins' }),
    decimal('cost', 'Cost', 10, 2),
    date('day', 'Day', { shared: 'clinic-wins' }),
    instant('at', 'At', 'datetime2(0)', { shared: 'clinic-wins' }),
    boolean('done', 'Done', { computed: true }),
  ],
  portalInserts: true,
  sharedWhen: { column: 'kind', equals: "Doctor's" },
})
const columnOf = (name: string) => {
  const found = example.columns.find((column) => column.name === name)
  if (found === undefined) throw new Error(name)
  return found
}

t.test('every table that syncs back has its part, and no other', async (t) => {
  for (const each of syncedTables) {
    t.equal(
      apply.includes(`${each.isOurs ? 'sync' : 'dbo'}.[${each.clinic}] t WITH (XLOCK, ROWLOCK, FORCESEEK)`),
      syncsBack(each),
      each.name,
    )
    t.equal(script.includes(`sync.[Insert_${each.name}]`), each.portalInserts, each.name)
  }
})

t.test('nothing is used that an engine of the list lacks', async (t) => {
  for (const content of [script, applyingScript([example]), roleScript()]) {
    // 2016 has no variable as a JSON path; the check engine has no MERGE and no CTE as a target.
    t.notMatch(
      content,
      /CREATE OR ALTER|STRING_AGG|\bMERGE\b|\bTRIM\(|CONCAT_WS|TRANSLATE\(|JSON_MODIFY|\bWITH \w+ AS \(/,
    )
    t.notMatch(content, /JSON_(VALUE|QUERY)\([^,]+, (?!'\$)/)
    // JSON_VALUE gives 4,000 characters.
    t.notMatch(content, /JSON_VALUE/)
  }
})

t.test('no range locks, no hint that would read past locks, and rows of the clinic only by key', async (t) => {
  // Of the outbox it only asks whether anything was ever sent from it.
  const own = apply.replaceAll('dbo.SyncQueue v WITH (READUNCOMMITTED)', '')
  t.notMatch(own, /HOLDLOCK|SERIALIZABLE|READPAST|NOLOCK|UNCOMMITTED|TABLOCK/)
  for (const line of apply.split('\n').filter((each) => /(JOIN|FROM|INTO) dbo\.\[/.test(each)))
    t.match(line, /INNER LOOP JOIN dbo\.\[\w+\] t WITH \([A-Z, ]*ROWLOCK[A-Z, ]*\) ON t\.\[\w+\] = x\./)
})

t.test('what is set for the session is set back, also after an error', async (t) => {
  t.match(apply, /BEGIN CATCH\s+IF XACT_STATE\(\) <> 0 ROLLBACK TRANSACTION\s+SET LOCK_TIMEOUT -1/)
  t.match(apply, /SET LOCK_TIMEOUT -1\s+END\s*$/)
  for (const off of apply.matchAll(/SET XACT_ABORT OFF\s+SET LOCK_TIMEOUT 0/g)) {
    t.match(apply.slice(off.index), /^[\s\S]*?SET LOCK_TIMEOUT 250\s+SET XACT_ABORT ON/)
  }
  const insert = batches.find((batch) => batch.includes('ALTER PROCEDURE sync.[Insert_aligner_notes]')) ?? ''
  t.match(insert, /WITH EXECUTE AS OWNER AS/)
  t.match(insert, /BEGIN CATCH[\s\S]*SET IDENTITY_INSERT dbo\.\[tblAlignerNotes\] OFF[\s\S]*THROW;/)
})

t.test('temporary text columns are in table variables, which have the collation of the database', async (t) => {
  t.notMatch(script, /CREATE TABLE #/)
  t.match(apply, /DECLARE @aligner_notes TABLE/)
})

t.test('a value is converted only where it has the form of the type', async (t) => {
  t.equal(typed(columnOf('count'), 'v'), "CASE WHEN v LIKE N'%[0-9]%' THEN TRY_CONVERT(int, v) END")
  t.equal(typed(columnOf('cost'), 'v'), "CASE WHEN v LIKE N'%[0-9]%' THEN TRY_CONVERT(decimal(10,2), v) END")
  t.match(typed(columnOf('day'), 'v'), /LIKE N'(\[0-9\]){4}-.*TRY_CONVERT\(date, v, 23\)/)
  t.match(typed(columnOf('at'), 'v'), /TRY_CONVERT\(datetime2\(0\), TRY_CONVERT\(datetime2\(3\), v, 126\)\)/)
  t.match(
    typed(instant('a', 'A', 'datetime'), 'v'),
    /BETWEEN '1753-01-01T00:00:00\.000' AND '9999-12-31T23:59:59\.998'/,
  )
  t.match(typed(columnOf('done'), 'v'), /N'true' THEN 1/)
  t.equal(typed(columnOf('name'), 'v'), 'v')
})

t.test("the clinic's values in the form in which they travel", async (t) => {
  t.equal(wire(columnOf('count'), 't.c'), 'CONVERT(nvarchar(40), t.c)')
  t.equal(wire(columnOf('day'), 't.c'), 'CONVERT(nvarchar(10), t.c, 23)')
  t.equal(wire(columnOf('at'), 't.c'), "STUFF(CONVERT(nvarchar(23), CAST(t.c AS datetime2(7)), 121), 11, 1, N'T')")
  t.equal(wire(instant('a', 'A', 'datetime'), 't.c'), "STUFF(CONVERT(nvarchar(23), t.c, 121), 11, 1, N'T')")
})

t.test('a text without a limit is read whole; of others their columns suffice', async (t) => {
  const unbounded = text('t', 'T', 'max')
  const { apply: from, value } = readRow('c.Base', 'b', [unbounded])
  t.equal(from, '')
  t.match(value(unbounded), /SELECT j\.\[value\] FROM OPENJSON\(c\.Base\) j WHERE j\.\[key\] = N't'/)
  t.equal(readRow('c.Base', 'b', example.columns).value(columnOf('name')), 'b.[name]')
})

t.test('each column has its limits; a computed one is never written', async (t) => {
  const messages = (name: string) => limitsOf(example, columnOf(name)).map(({ message }) => message)
  t.match(messages('name'), [/must not be null/, /longer than .* \/ 2/])
  t.match(messages('kind'), [
    /must not be null/,
    /longer than/,
    /code page lacks/,
    /only ''Doctor''s'' notes come from/,
  ])
  t.match(messages('count'), [/must not be null/, /outside the range of int/])
  t.match(messages('day'), [/must not be null/, /outside the years 1 to 9999 of date/])
  t.match(messages('at'), [/must not be null/, /outside the years 1 to 9999 of datetime2'/])
  const made = applyingScript([example])
  t.notMatch(made, variable('ev', columnOf('done')))
  t.match(made, '[Na]]me] = CASE WHEN x.[r_name] = 3 THEN x.[e_name] ELSE t.[Na]]me] END')
  t.match(made, '[Count] = CASE WHEN x.[r_count] IN (3, 4) THEN x.[ev_count] ELSE t.[Count] END')
})

t.test('deletes reach the clinic only where the mapping lets them', async (t) => {
  t.notMatch(apply, /\bDELETE t\b/)
  const batchesOf = tableNamed('aligner_batches')
  const made = applyingScript([{ ...batchesOf, deletes: { clinic: 'propagate', portal: 'propagate' } }])
  t.match(made, /DELETE t\s+FROM @aligner_batches x\s+INNER LOOP JOIN dbo\.\[tblAlignerBatches\] t WITH \(ROWLOCK\)/)
  t.match(made, /x\.HasRow = 0 AND x\.Found = 1 AND x\.HasBase = 1 AND x\.IsShared = 1\s+AND .* THEN N'DELETE'/)
  t.match(made, /ClinicRow = \(SELECT/)
})

t.test('what the generator cannot express is refused by name', async (t) => {
  const notes = tableNamed('aligner_notes')
  t.throws(() => applyingScript([{ ...notes, clinicIsView: true }]), /aligner_notes: the clinic computes it/)
  const alone = notes.columns.map((column) => ({ ...column, owner: 'clinic' as const }))
  t.throws(() => applyingScript([{ ...notes, columns: alone }]), /aligner_notes: no column is shared/)
  const moved = notes.columns.map((column) => ({ ...column, owner: 'shared' as const }))
  t.throws(() => applyingScript([{ ...notes, columns: moved }]), /aligner_notes\.aligner_set_id: a reference/)
  const elsewhere = { ...notes, sharedWhen: { column: 'nowhere', equals: 'x' } }
  t.throws(() => applyingScript([elsewhere]), /sharedWhen names no column/)
})

t.test('the services may execute what they call, and nothing behind it', async (t) => {
  const role = roleScript()
  t.strictSame(
    [...role.matchAll(/GRANT EXECUTE ON sync\.(\w+) TO clinic_sync$/gm)].map(([, name]) => name),
    SERVICE_PROCEDURES,
  )
  t.match(role, /REVOKE EXECUTE ON SCHEMA::sync FROM clinic_sync/)
})
