import type { Reported, Results } from '../results.ts'
import { numeral } from './numeral.ts'
import { CONSUMING, PUBLISHING, RELAY, ROW_BY_ROW, UPSERT } from './targets.ts'

const WIDTH = 860
/** Where the scale begins and ends; left of it are the names, right of it the medians. */
const [LEFT, RIGHT] = [330, 770]
const ROW = 26
const PANEL = 64

interface Dot {
  readonly median: number
  readonly min: number
  readonly max: number
}
interface Line {
  readonly name: string
  readonly kind: 'ours' | 'reference'
  readonly dots: readonly Dot[]
  /** Right of the scale. */
  readonly says: string
}
interface Panel {
  readonly title: string
  readonly lines: readonly Line[]
}

const REFERENCES: readonly string[] = [CONSUMING, PUBLISHING, UPSERT, RELAY, ROW_BY_ROW]
const PERCENTILES = ['p50', 'p95', 'p99']

/**
 * Rates beside their references, and latencies, as dots on logarithmic scales, with a line from the smallest to the largest round. Dots,
 * since a bar on such a scale has a length that means nothing. Colours follow the reader's light or dark setting; text stays text.
 */
export function chartFor({ figures, startedAt }: Pick<Results, 'figures' | 'startedAt'>): string {
  const panels = [rates(figures), latencies(figures)].filter(({ lines }) => lines.length > 0)
  let y = 16
  const body = panels.map((panel) => {
    const drawn = draw(panel, y)
    y += PANEL + panel.lines.length * ROW
    return drawn
  })
  const height = y + 8
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title">
<title id="title">Rates and latencies of the pipeline and of its references, ${escaped(startedAt.slice(0, 10))}</title>
<style>
  .ground { fill: #ffffff } text { fill: #1f2328; font: 13px system-ui, sans-serif } .title { font-weight: 600; font-size: 15px }
  .faint { fill: #59636e; font-size: 11px } .grid { stroke: #d1d9e0 } .ours { fill: #0969da; stroke: #0969da } .reference { fill: #8c6a00; stroke: #8c6a00 }
  .end { text-anchor: end } .middle { text-anchor: middle } line { stroke-width: 1 } .spread { stroke-width: 3; opacity: 0.45 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #f0f6fc } .faint { fill: #9198a1 } .grid { stroke: #3d444d }
    .ours { fill: #4493f8; stroke: #4493f8 } .reference { fill: #d9a514; stroke: #d9a514 }
  }
</style>
<rect class="ground" width="${WIDTH}" height="${height}"/>
${body.join('\n')}
</svg>
`
}

/** Ours and the references, the fastest first. */
function rates(figures: readonly Reported[]): Panel {
  const chosen = figures.filter(({ name }) => name.endsWith(', sustained') || REFERENCES.includes(name))
  const lines = chosen
    .toSorted((a, b) => b.median - a.median)
    .map(({ name, median, min, max }): Line => ({
      name,
      kind: REFERENCES.includes(name) ? 'reference' : 'ours',
      dots: [{ median, min, max }],
      says: numeral(median),
    }))
  return { title: 'Changes a second (logarithmic; right is better; blue: the pipeline)', lines }
}

/** A row for each way that has percentiles. */
function latencies(figures: readonly Reported[]): Panel {
  const ways = [...new Set(figures.flatMap(({ name }) => /^(.*): p50$/.exec(name)?.[1] ?? []))]
  const lines = ways.map((way): Line => {
    const dots = PERCENTILES.flatMap((mark) => {
      const found = figures.find(({ name }) => name === `${way}: ${mark}`)
      return found === undefined ? [] : [{ median: found.median, min: found.min, max: found.max }]
    })
    return { name: way, kind: 'ours', dots, says: dots.map(({ median }) => numeral(median)).join(' / ') }
  })
  return { title: 'Milliseconds from commit to visible: p50 / p95 / p99 (logarithmic; left is better)', lines }
}

function draw({ title, lines }: Panel, top: number): string {
  const dots = lines.flatMap((line) => line.dots)
  const scale = scaleFor(dots)
  const first = top + 40
  const bottom = first + lines.length * ROW
  const grid = scale.ticks.map(
    (tick) =>
      `<line class="grid" x1="${scale.at(tick)}" x2="${scale.at(tick)}" y1="${first - 6}" y2="${bottom}"/>` +
      `<text class="faint middle" x="${scale.at(tick)}" y="${first - 12}">${escaped(numeral(tick))}</text>`,
  )
  const rows = lines.map(({ name, kind, dots: own, says }, i) => {
    const y = first + i * ROW + ROW / 2
    const marks = own.map(
      ({ median, min, max }) =>
        `<line class="${kind} spread" x1="${scale.at(min)}" x2="${scale.at(max)}" y1="${y}" y2="${y}"/>` +
        `<circle class="${kind}" cx="${scale.at(median)}" cy="${y}" r="4.5"/>`,
    )
    return (
      `<text class="end" x="${LEFT - 14}" y="${y + 4}">${escaped(name)}</text>${marks.join('')}` +
      `<text class="end" x="${WIDTH - 6}" y="${y + 4}">${escaped(says)}</text>`
    )
  })
  return [`<text class="title" x="8" y="${top + 12}">${escaped(title)}</text>`, ...grid, ...rows].join('\n')
}

/** From the power of ten below the smallest to the one above the largest. */
function scaleFor(dots: readonly Dot[]) {
  const values = dots.flatMap(({ median, min, max }) => [median, min, max]).filter((value) => value > 0)
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  const at = (value: number) => {
    // What is nothing at all has no place on such a scale: it stands at its beginning.
    const share = value <= 0 ? 0 : (Math.log10(value) - low) / (high - low)
    return Math.round((LEFT + share * (RIGHT - LEFT)) * 10) / 10
  }
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i))
  return { at, ticks }
}

const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
