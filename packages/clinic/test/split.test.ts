import { splitBatches } from '@clinic-sync/clinic'
import t from 'tap'

const sqlOf = (script: string) => splitBatches(script).map((batch) => batch.sql.trim())

t.test('splits at lines that hold only GO, in any case, with blanks', async (t) => {
  t.strictSame(sqlOf('SELECT 1\nGO\nSELECT 2\n  go \t\nSELECT 3'), ['SELECT 1', 'SELECT 2', 'SELECT 3'])
})

t.test('a word that begins with GO, or GO within a line, is text', async (t) => {
  for (const script of ['GOTO x', 'SELECT 1 GO', 'GO away', '  GO 1 2', 'GO - 1', 'GO /* a', 'x GO -- y']) {
    t.strictSame(sqlOf(script), [script.trim()], script)
  }
})

t.test('GO inside strings, quoted names and comments is text', async (t) => {
  for (const script of [
    "SELECT 'a\nGO\nb'",
    "SELECT N'it''s\nGO\n'",
    'SELECT 1 AS [a\nGO\nb]',
    'SELECT 1 AS [a]]\nGO\nb]',
    'SELECT 1 AS "a\nGO\nb"',
    'SELECT 1 /* a\nGO\n*/',
    'SELECT 1 /* a /* b */\nGO\n*/',
  ]) {
    t.strictSame(sqlOf(script), [script], script)
  }
})

t.test('quotes in comments, and comment signs in strings, open nothing', async (t) => {
  for (const first of ["SELECT 1 -- it's", "SELECT 1 /* it's */", "SELECT '-- /*'", 'SELECT 1 AS [/*]', "SELECT '['"]) {
    t.strictSame(sqlOf(`${first}\nGO\nSELECT 2`), [first, 'SELECT 2'], first)
  }
})

t.test('says the line on which a batch begins, and the repeat count', async (t) => {
  t.strictSame(splitBatches('SELECT 1\r\nGO 3\r\n\r\nSELECT 2'), [
    { sql: 'SELECT 1', line: 1, repeat: 3 },
    { sql: '\nSELECT 2', line: 3, repeat: 1 },
  ])
})

t.test('batches without a statement, and those repeated 0 times, are left out', async (t) => {
  t.strictSame(sqlOf('GO\nGO\n-- nothing\nGO\n/* no /* thing */ */\nGO\nSELECT 1\nGO 0\nSELECT 2\nGO\n'), ['SELECT 2'])
})

t.test('a GO line may hold comments, whatever they say', async (t) => {
  for (const go of ['GO -- next', 'GO--next', "go 1 -- it's /* one", 'GO /* a */', 'GO /* a */ /* b */ -- c']) {
    t.strictSame(sqlOf(`SELECT 1\n${go}\nSELECT 2`), ['SELECT 1', 'SELECT 2'], go)
  }
  t.equal(splitBatches('SELECT 1\nGO 2 -- twice')[0]?.repeat, 2)
})

t.test(
  'a GO behind a comment that spans lines is one again; a comment sign in a comment of the other kind is text',
  async (t) => {
    t.strictSame(sqlOf('/* a /* b\nGO */\nGO */\nGO\nSELECT 1'), ['SELECT 1'])
    t.strictSame(sqlOf('SELECT 1 -- /* open\nGO\nSELECT 2 /* -- */\nGO\nSELECT 3'), [
      'SELECT 1 -- /* open',
      'SELECT 2 /* -- */',
      'SELECT 3',
    ])
  },
)

t.test('a batch of comments only is none, whatever signs they hold', async (t) => {
  for (const nothing of ['/* a -- b */', '-- /*', '/* -- */ /* " */', "-- it's", '/* /* -- */ */']) {
    t.strictSame(sqlOf(`${nothing}\nGO\nSELECT 1`), ['SELECT 1'], nothing)
  }
  t.strictSame(sqlOf("SELECT '--'\nGO\n'\n'"), ["SELECT '--'", "'\n'"])
})

t.test('a byte order mark and old line ends are no part of the first batch', async (t) => {
  t.strictSame(splitBatches('\uFEFFSELECT 1\rGO\rSELECT 2'), [
    { sql: 'SELECT 1', line: 1, repeat: 1 },
    { sql: 'SELECT 2', line: 3, repeat: 1 },
  ])
  t.strictSame(sqlOf('\uFEFFGO\nSELECT 1'), ['SELECT 1'])
})
