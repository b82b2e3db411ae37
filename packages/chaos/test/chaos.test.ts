import { releasers, type Screen } from '@clinic-sync/demo'
import t from 'tap'
import { chaos, FAULTS, holds, report } from '../src/index.ts'

// Servers and services are started: on a busy machine that alone takes longer than a test may by default.
t.setTimeout(400_000)

const SEED = 7
/** The cheap ones: a few seconds each. The others are what `npm run chaos` is for. */
const CHEAP = ['kill-applied', 'kill-published', 'cut', 'portal-restart', 'poison']
const COMMAND = `npm run chaos -- --minutes 0 --seed ${SEED} --nodes 1 --only ${CHEAP.join(',')}`

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

t.test(`cheap faults under load: nothing is lost, doubled or different (${COMMAND})`, async (t) => {
  const release = releasers()
  t.teardown(() => release.releaseAll())
  const lines: string[] = []
  const result = await chaos({
    seed: SEED,
    ms: 0,
    release,
    say: (line) => void lines.push(line),
    faults: FAULTS.filter(({ name }) => CHEAP.includes(name)),
    nodes: 1,
    ownDisk: false,
    pairs: false,
    patienceMs: 60_000,
    extent: { sets: 2, batchesPerSet: 2, notesPerSet: 3 },
    pace: 2,
  })
  report(screenInto(lines), result, COMMAND, 0)
  t.ok(holds(result), 'it holds', { report: lines })
  t.equal(result.turns.length, CHEAP.length + 1, 'every fault has had its turn')
  t.ok(result.committed > 20 && result.events > 60, 'people were at work', {
    committed: result.committed,
    events: result.events,
  })
})

t.test('every fault has a name of its own, and says what it does', async (t) => {
  t.equal(new Set(FAULTS.map(({ name }) => name)).size, FAULTS.length)
  const wrong = FAULTS.filter(({ about, lastsMs }) => about.length < 10 || lastsMs[0] > lastsMs[1])
  t.same(wrong, [])
})
