import t from 'tap'
import { blocksOf } from '../src/blocks/blocks.ts'
import { parseMarker } from '../src/blocks/marker.ts'
import { pageOf } from '../src/pages.ts'

const plain = { exit: 0, shows: [], rolledBack: false, needsSqlServer: false, replacements: [] }
const faultsOf = (text: string) =>
  blocksOf(pageOf('x.md', text)).faults.map(({ line, message }) => `${line}: ${message}`)

t.test('a marker says how, what is expected, and what stands for a placeholder', async (t) => {
  t.same(parseMarker('<!-- run: demo -->'), { how: 'demo', ...plain })
  t.same(parseMarker('<!-- not run: takes nine minutes -->'), { how: 'not', why: 'takes nine minutes' })
  t.same(parseMarker('<!-- run: clinic, rolled back, needs SQL Server -->'), {
    how: 'clinic',
    ...plain,
    rolledBack: true,
    needsSqlServer: true,
  })
  t.same(
    parseMarker('<!-- run: demo, exit 1, shows "a, b", 4k2m = a dead letter, <x> = "1, 2",\n … = the ingress -->'),
    {
      how: 'demo',
      ...plain,
      exit: 1,
      shows: ['a, b'],
      replacements: [
        { placeholder: '4k2m', by: { made: 'a dead letter' } },
        { placeholder: '<x>', by: { text: '1, 2' } },
        { placeholder: '…', by: { made: 'the ingress' } },
      ],
    },
  )
  t.equal(parseMarker('<!-- a remark about a run -->'), null)
})

t.test('what looks like a marker and is none is refused', async (t) => {
  for (const comment of [
    '<!-- run demo -->',
    '<!-- not run -->',
    '<!-- not run: long -->',
    '<!-- run: server -->',
    '<!-- run: demo, quickly -->',
    '<!-- run: demo, … = a miracle -->',
    '<!-- run: demo, rolled back -->',
    '<!-- run: clinic, exit 1 -->',
  ])
    t.throws(() => parseMarker(comment), Error, comment)
})

t.test('a block without a marker is a fault, with its line', async (t) => {
  t.match(faultsOf('# A\n\n```bash\nls\n```\n'), [/^3: the line above/])
  t.match(faultsOf('<!-- run: demo -->\n\n```bash\nls\n```\n'), [/^3: what says how .* right above/])
  t.match(faultsOf('<!-- run: demo -->\n```sql\nSELECT 1\n```\n'), [/^2: a block in sql is not run as demo/])
  t.match(faultsOf('```sh\nls\n```\n'), [/^1: write .* as bash/])
  t.match(faultsOf('<!-- run: demo -->\n\nwords\n'), [/^1: no block/])
  t.same(faultsOf('```json\n{}\n```\n\n    npm run demo\n'), [])
})

t.test('blocks in a list are found as others are', async (t) => {
  const { blocks, faults } = blocksOf(
    pageOf(
      'x.md',
      '1. One:\n\n   <!-- run: demo -->\n   ```bash\n   ls\n   ```\n\n2. Two:\n   <!-- run: portal -->\n   ```sql\n   SELECT 1\n   ```\n',
    ),
  )
  t.same(faults, [])
  t.same(
    blocks.map(({ line, code, language }) => [line, code, language]),
    [
      [5, 'ls', 'bash'],
      [11, 'SELECT 1', 'sql'],
    ],
  )
})
