import { readFile, writeFile } from 'node:fs/promises'
import type { Reported, Results } from '../results.ts'
import { chartFor } from './chart.ts'
import { markdownFor } from './table.ts'

const DOCUMENT = new URL('../../../../docs/benchmarks.md', import.meta.url)
const CHART = new URL('../../../../docs/benchmarks.svg', import.meta.url)
const BEGIN = '<!-- measured: begin. Written by npm run bench -- --write -->'
const END = '<!-- measured: end -->'

/** Writes figures and chart into the docs; what people wrote around them stays. @throws Error if the markers are not there */
export async function writeDocument(results: Results): Promise<void> {
  const document = await readFile(DOCUMENT, 'utf8')
  await writeFile(DOCUMENT, replaced(document, measured(results)))
  await writeFile(CHART, chartFor(results))
}

/** @throws Error if the markers are not there, each once */
export function replaced(document: string, between: string): string {
  const [before, rest, ...more] = document.split(BEGIN)
  const [, after, ...further] = rest?.split(END) ?? []
  if (before === undefined || after === undefined || more.length + further.length > 0)
    throw new Error('docs/benchmarks.md has lost the markers of what is measured.')
  return `${before}${BEGIN}\n\n${between}\n\n${END}${after}`
}

/** What stands between the markers. */
export function measured(results: Results): string {
  const { figures, ratios, machine, versions, command, startedAt, seconds, commit, rounds, scale, problems } = results
  const [sustained, ...others] = groups(figures)
  const version = Object.entries(versions).map(([name, text]) => `${name} ${text}`)
  return [
    '![Rates of the pipeline beside what the machine does at best, and latencies](benchmarks.svg)',
    `Measured on ${startedAt.slice(0, 10)} with \`${command}\` (${Math.round(seconds / 60)} minutes, ${rounds} rounds) at commit ${commit ?? 'unknown'}.`,
    [
      `- Machine, shared by all servers, services and whoever measures: ${machine.cores} cores of ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.os}, ${machine.kernel}, ${machine.arch}.`,
      `- ${version.map((text) => text.replace(/ none: /, ': none; ')).join('. ')}.`,
      '- Durable, as in production: Postgres with fsync and synchronous_commit, quorum queues of one node, persistent messages, publisher confirms. Not durable: the simulator, which keeps its tables in memory.',
      `- A drain is ${scale.clinicChanges.toLocaleString('en')} changes to the portal, ${scale.portalEdits.toLocaleString('en')} to the clinic; latency ${scale.latencyRate} changes a second for ${scale.latencySeconds} s; a burst ${scale.burstRows.toLocaleString('en')} rows; idle ${scale.idleSeconds} s.`,
      `- ${problems.length === 0 ? 'At the end both sides were equal, no change had failed, and there was no dead letter.' : `**Not to be relied on**: ${problems.map(({ where, what }) => `${where}: ${what}`).join('; ')}`}`,
    ].join('\n'),
    '### Rates and their references',
    markdownFor(sustained ?? []),
    '### As ratios, of the same round',
    markdownFor(ratios),
    ...others.flatMap((group) => [`### ${headingOf(group)}`, markdownFor(group)]),
  ].join('\n\n')
}

const RATES = new Set(['sustained', 'raw-broker', 'raw-upsert', 'raw-relay', 'row-by-row'])

/** Rates first, then a group for each measure. */
function groups(figures: readonly Reported[]): Reported[][] {
  const rates = figures.filter(({ measure }) => RATES.has(measure))
  const others = figures.filter(({ measure }) => !RATES.has(measure))
  const names = [...new Set(others.map(({ measure }) => measure))]
  return [rates, ...names.map((name) => others.filter(({ measure }) => measure === name))]
}

const headingOf = (group: readonly Reported[]) => {
  const name = (group[0]?.measure ?? '').replaceAll('-', ' ')
  return `${name.slice(0, 1).toUpperCase()}${name.slice(1)}`
}
