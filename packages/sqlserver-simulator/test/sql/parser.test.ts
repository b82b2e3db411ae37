import { numbered } from '../contract/target.ts'
import t from 'tap'
import { parseBatch } from '../../src/sql/parse-batch.ts'

const kinds = (text: string) => parseBatch(text).map((statement) => statement.kind)

t.test('statements need no semicolons', async (t) => {
  t.strictSame(
    kinds('BEGIN TRAN UPDATE t SET a = 1 WHERE b = 2 DELETE t; SELECT 1 SET NOCOUNT ON COMMIT TRAN EXEC p 1, @x = 2'),
    ['begin', 'update', 'delete', 'select', 'setOption', 'commit', 'exec'],
  )
  t.strictSame(kinds(' ;; '), [])
})

t.test('precedence', async (t) => {
  const [select] = parseBatch('SELECT 1 + 2 * 3, a FROM t WHERE x = 1 OR y = 2 AND NOT z = 3')
  t.match(select, {
    items: [{ expression: { operator: '+', right: { operator: '*' } } }, {}],
    where: { node: 'or', right: { node: 'and', right: { node: 'not' } } },
  })
})

t.test('parentheses around values and around conditions', async (t) => {
  for (const where of [
    '(a = 1)',
    '((a = 1) AND (b = 2))',
    '((a + 1) * 2) = 4',
    '(a) IS NULL',
    '(SELECT MAX(b) FROM t WHERE b = 1) = a',
    '(CASE WHEN a = 1 THEN 1 ELSE 2 END) = 1',
    "(a IN (1, 2)) OR (b LIKE (N'x' + N'y'))",
    '(EXISTS (SELECT 1 FROM t))',
  ])
    t.strictSame(kinds(`SELECT 1 FROM t WHERE ${where}`), ['select'], where)
})

t.test('an error names the place and its line', async (t) => {
  t.throws(() => parseBatch('SELECT 1\nFROM t WHERE'), numbered(102, { line: 2 }))
  t.throws(() => parseBatch('SELECT * FROM'), numbered(102))
  t.throws(() => parseBatch('UPDATE t WHERE a = 1'), numbered(156, { message: /keyword 'WHERE'/ }))
  t.throws(() => parseBatch('INSERT INTO t (a VALUES (1)'), numbered(156))
  t.throws(() => parseBatch('SELECT 1 )'), numbered(102))
})
