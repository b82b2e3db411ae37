import { numbered } from '../contract/target.ts'
import t from 'tap'
import { tokenize } from '../../src/sql/tokenizer.ts'
import { withoutValues } from '../../src/tds/trace.ts'

const kinds = (text: string) => tokenize(text).map(({ kind, text: of }) => [kind, of])

t.test('words, names, values and symbols', async (t) => {
  t.strictSame(kinds("SELECT [a]]b], \"c\"\"d\", 'e''f', N'ز', @g, @@h, 1, .5, 1e-3, 0xFf <> !="), [
    ['word', 'SELECT'],
    ['quoted', 'a]b'],
    ['symbol', ','],
    ['quoted', 'c"d'],
    ['symbol', ','],
    ['string', "e'f"],
    ['symbol', ','],
    ['nstring', 'ز'],
    ['symbol', ','],
    ['variable', '@g'],
    ['symbol', ','],
    ['variable', '@@h'],
    ['symbol', ','],
    ['number', '1'],
    ['symbol', ','],
    ['number', '.5'],
    ['symbol', ','],
    ['float', '1e-3'],
    ['symbol', ','],
    ['binary', '0xFf'],
    ['symbol', '<>'],
    ['symbol', '!='],
    ['end', ''],
  ])
})

t.test('comments are left out, nested ones too; lines are counted', async (t) => {
  const tokens = tokenize("a -- b ' c\n/* d /* e */\n f */ g")
  t.strictSame(
    tokens.map(({ text, line }) => [text, line]),
    [
      ['a', 1],
      ['g', 3],
      ['', 3],
    ],
  )
})

t.test('what is never closed', async (t) => {
  t.throws(() => tokenize("SELECT 'a"), numbered(105))
  t.throws(() => tokenize('SELECT [a'), numbered(105))
  t.throws(() => tokenize('/* /* */'), numbered(113))
})

t.test('a statement without its values', async (t) => {
  t.equal(withoutValues("UPDATE t SET a = N'secret', b=5\n WHERE c = @p -- x"), 'UPDATE t SET a = ?, b=? WHERE c = @p')
  t.equal(withoutValues("SELECT 'open"), '(unreadable)')
})
