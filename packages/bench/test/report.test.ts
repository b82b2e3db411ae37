import t from 'tap'
import { ratiosOf, seriesOf, type Measured } from '../src/bench.ts'
import { chartFor } from '../src/report/chart.ts'
import { measured as measuredText, replaced } from '../src/report/document.ts'
import { numeral } from '../src/report/numeral.ts'
import { markdownFor, tableFor } from '../src/report/table.ts'
import { targetFor } from '../src/report/targets.ts'
import { figure, results } from './support/results.ts'
import { parse } from './support/xml.ts'

const measured = (name: string, round: number, value: number): Measured => ({
  name,
  round,
  value,
  unit: 'changes/s',
  better: 'more',
  measure: 'x',
})

t.test('a ratio is of the same round, and then the median of these', async (t) => {
  const figures = [
    measured('ours', 1, 10),
    measured('theirs', 1, 100),
    measured('ours', 2, 50),
    measured('theirs', 2, 100),
    // The machine was busy: both were slow.
    measured('theirs', 3, 10),
    measured('ours', 3, 2),
    measured('ours', 4, 1_000),
  ]
  const [ratio, ...more] = ratiosOf(figures, [
    { name: 'ours ÷ theirs', of: 'ours', to: 'theirs' },
    { name: 'ours ÷ nobody', of: 'ours', to: 'nobody' },
  ])
  t.strictSame(more, [], 'a ratio to what was not measured is left out')
  t.strictSame(ratio?.values, [0.1, 0.5, 0.2], 'a round without the other one counts for nothing')
  t.equal(ratio?.median, 0.2, 'not the ratio of the medians, which is 0.3')
})

t.test('a round that measured a thing several times counts once; by zero nothing is divided', async (t) => {
  const figures = [measured('a', 1, 4), measured('a', 1, 6), measured('b', 1, 10), measured('zero', 1, 0)]
  t.strictSame(ratiosOf(figures, [{ name: 'r', of: 'a', to: 'b' }])[0]?.values, [0.5])
  t.strictSame(ratiosOf(figures, [{ name: 'r', of: 'a', to: 'zero' }]), [])
})

t.test('figures of one name make a series, in the order in which they first came', async (t) => {
  const series = seriesOf([measured('b', 1, 3), measured('a', 1, 1), measured('b', 2, 5), measured('b', 3, 4)])
  t.strictSame(
    series.map(({ name, values, median, min, max, n }) => ({ name, values, median, min, max, n })),
    [
      { name: 'b', values: [3, 5, 4], median: 4, min: 3, max: 5, n: 3 },
      { name: 'a', values: [1], median: 1, min: 1, max: 1, n: 1 },
    ],
  )
})

t.test('a target is reached by the median, at its very value only where it says so', async (t) => {
  const says = (name: string, value: number) => targetFor(name, value)?.reached
  t.equal(says('clinic → portal, sustained', 8_000), true)
  t.equal(says('clinic → portal, sustained', 7_999.9), false)
  t.equal(says('portal → clinic, LISTEN: p50', 10), false)
  t.equal(says('portal → clinic, LISTEN: p50', 9.9), true)
  t.equal(says('idle: queries to the clinic', 0), true)
  t.equal(says('idle: queries to the clinic', 0.1), false)
  t.equal(targetFor('portal → clinic, sustained', 1), null, 'what was not promised has none')
  t.equal(targetFor('clinic → portal, OLE Automation: p50', 1), null)
})

t.test('numbers are rounded by their size, never to nothing', async (t) => {
  t.strictSame([12_345.6, 123.4, 12.34, 1.236, 0.0123, 0.00001, 0, -3].map(numeral), [
    '12,346',
    '123',
    '12.3',
    '1.24',
    '0.012',
    '< 0.001',
    '0',
    '−3',
  ])
})

t.test('the tables have a row for each figure, with its target and the truth about it', async (t) => {
  const { figures, ratios } = results()
  const lines = tableFor({ figures, ratios })
  t.equal(lines.length, 1 + figures.length + ratios.length)
  t.match(lines[1], /clinic → portal, sustained +changes\/s +8,500 +8,000 – 9,000 +3 +≥ 8,000 +yes$/)
  t.match(lines.join('\n'), /p99 .*< 30 +no/)
  const rows = markdownFor([...figures, figure('a | b', [1])]).split('\n')
  t.equal(rows.length, 2 + figures.length + 1)
  t.ok(
    rows.every((row) => row.replaceAll('\\|', '').split('|').length === 9),
    'seven cells each',
  )
})

t.test('the chart is XML, with a dot for each value and a text for each name, within its width', async (t) => {
  const elements = parse(chartFor(results()))
  const [svg] = elements
  const width = Number(svg?.attributes['width'])
  const height = Number(svg?.attributes['height'])
  t.equal(svg?.attributes['xmlns'], 'http://www.w3.org/2000/svg')
  t.ok(width > 0 && width <= 900)
  t.equal(elements.filter(({ name }) => name === 'circle').length, 5)
  const texts = elements.filter(({ name }) => name === 'text')
  t.ok(texts.some(({ text }) => text === 'clinic → portal, A &amp; &lt;B&gt;'))
  for (const { name, attributes } of elements) {
    for (const at of ['x', 'x1', 'x2', 'cx'])
      if (attributes[at] !== undefined)
        t.ok(Number(attributes[at]) >= 0 && Number(attributes[at]) <= width, `${name} ${at}`)
    for (const at of ['y', 'y1', 'y2', 'cy'])
      if (attributes[at] !== undefined)
        t.ok(Number(attributes[at]) >= 0 && Number(attributes[at]) <= height, `${name} ${at}`)
  }
  const style = elements.find(({ name }) => name === 'style')?.text ?? ''
  t.match(style, /prefers-color-scheme: dark/)
  t.notMatch(chartFor(results()), /NaN|Infinity|undefined/)
})

t.test('on the scale more is further right, by as much for each power of ten', async (t) => {
  const figures = [
    figure('raw relay', [10_000]),
    figure('raw consuming', [100_000]),
    figure('one row at a time', [1_000]),
  ]
  const x = parse(chartFor(results({ figures })))
    .filter(({ name }) => name === 'circle')
    .map(({ attributes }) => Number(attributes['cx']))
  const [most = 0, middle = 0, least = 0] = x
  t.ok(most > middle && middle > least, 'the fastest first')
  t.ok(Math.abs(most - middle - (middle - least)) < 0.5)
})

t.test('a chart of a run that measured neither is still a chart', async (t) => {
  t.equal(parse(chartFor(results({ figures: [] })))[0]?.name, 'svg')
})

t.test('the reader of XML refuses what is not well-formed', async (t) => {
  for (const xml of ['<a>', '<a></b>', '<a b=1/>', '<a>&</a>', '<a b="x" b="y"/>', '<a/><b/>', '<a>x < y</a>', 'x'])
    t.throws(() => parse(xml), xml)
})

t.test('writing replaces what stands between the markers, and nothing else', async (t) => {
  const document = [
    'before',
    '<!-- measured: begin. Written by npm run bench -- --write -->',
    'old $& figures',
    '<!-- measured: end -->',
    'after',
  ].join('\n')
  const once = replaced(document, 'new $& figures')
  t.match(once, /^before\n<!-- measured: begin/)
  t.match(once, /<!-- measured: end -->\nafter$/)
  t.notMatch(once, 'old')
  t.ok(once.includes('new $& figures'))
  t.equal(replaced(once, 'new $& figures'), once, 'again is the same')
  for (const broken of ['nothing', document.replace('measured: end', 'x'), `${document}\n${document}`])
    t.throws(() => replaced(broken, 'x'), /markers/)
})

t.test('what is written says what it ran on, and what failed', async (t) => {
  const text = measuredText(results())
  for (const part of [
    'npm run bench -- --write',
    '0123456789',
    'A & B <CPU>',
    'PostgreSQL 18.1',
    '2026-11-23',
    'fsync',
  ])
    t.ok(text.includes(part), part)
  t.match(
    measuredText(results({ problems: [{ where: 'both sides', round: 0, what: 'they differ' }] })),
    /Not to be relied on/,
  )
})
