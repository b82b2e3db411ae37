import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { releasers, type Screen } from '@clinic-sync/demo'
import t from 'tap'
import { ALL, exitCodeOf, run } from '../src/command.ts'
import { type Measure, QUICK } from '../src/measure.ts'
import type { Results } from '../src/results.ts'

// Servers and services are started: on a busy machine that alone takes longer than a test may by default.
t.setTimeout(400_000)

const ROOT = new URL('../../../', import.meta.url)
const PARTS = ['sustained', 'burst', 'raw-broker', 'raw-upsert', 'raw-relay']
const SCALE = { ...QUICK, clinicChanges: 300, portalEdits: 60, burstRows: 20, rounds: 1 }

/** Collects what a person would read. */
function screenInto(lines: string[]): Screen {
  const plain = (text: string) => text
  return {
    section: (title) => void lines.push(title),
    pair: (name, text) => void lines.push(`${name} ${text}`),
    line: (text = '') => void lines.push(text),
    good: plain,
    bad: plain,
    faint: plain,
    strong: plain,
  }
}

/** After the others, so that everything else has been measured: one of our services dies, as by the kernel's hand. */
const killer: Measure = {
  name: 'killer',
  when: 'once',
  async run({ crew }) {
    process.kill(crew.pidOf('postgres-to-sql'), 'SIGKILL')
    return []
  },
}

t.before(async () => {
  // The services run as built, as in production; an up-to-date build takes no time. Not bin/tsc, which tap's loader cannot load.
  await promisify(execFile)(process.execPath, ['node_modules/typescript/lib/tsc.js', '-b', 'tsconfig.build.json'], {
    cwd: ROOT,
  })
})

t.test('a tiny run measures the pipeline and its references, and a service that dies is told', async (t) => {
  const release = releasers()
  t.teardown(() => release.releaseAll())
  const lines: string[] = []
  const json = `${t.testdir()}/results.json`
  const all = [...ALL.filter(({ name }) => PARTS.includes(name)), killer]
  const options = { quick: true, write: false, yes: false, json, scale: SCALE, all, release, screen: screenInto(lines) }
  const results = await run(options)
  const written = JSON.parse(await readFile(json, 'utf8')) as Results
  t.strictSame(written, JSON.parse(JSON.stringify(results)), 'the file has it all')

  const names = results.figures.map(({ name }) => name)
  for (const name of [
    'clinic → portal, sustained',
    'portal → clinic, sustained',
    'raw confirmed publishing',
    'raw consuming',
  ])
    t.ok(names.includes(name), name)
  for (const name of ['clinic → portal, burst', 'raw batched upsert', 'raw relay']) t.ok(names.includes(name), name)
  for (const { name, values } of [...results.figures, ...results.ratios])
    t.ok(values.length > 0 && values.every((value) => Number.isFinite(value) && value > 0), name, { values, lines })
  t.equal(results.ratios.length, 4)

  t.match(results.machine, { cpu: /\S/, os: /\S/, kernel: /^\w+ [\d.]+$/ })
  t.ok(results.machine.cores > 0 && results.machine.memoryGiB > 0)
  t.equal(results.versions['Node'], process.versions.node)
  t.match(results.versions['PostgreSQL'], /^\d+[.]/)
  t.match(results.versions['RabbitMQ'], /^\d+[.]\d+.*Erlang/)
  t.match(results.versions['SQL Server'], /simulator/)
  t.equal(results.scale.clinicChanges, 300)

  t.match(results.problems, [{ what: /^postgres-to-sql does not answer/ }], 'and nothing else: both sides are equal', {
    lines,
  })
  t.equal(exitCodeOf(results), 1)
  t.equal(exitCodeOf({ problems: [] }), 0)
})
