import { releasers, type Screen } from '@clinic-sync/demo'
import t from 'tap'
import { report } from '../src/end/report.ts'
import { holds, prove } from '../src/index.ts'

// Whole services are started: on a busy machine that alone takes longer than a test may by default.
t.setTimeout(400_000)

const SEED = 7
const MINUTES = 0.1
/** In the test's name, so that every failure says it. */
const COMMAND = `npm run prove -- --seed ${SEED} --minutes ${MINUTES}`

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

t.test(
  `edits on both sides with everything failing in between: both sides end equal, and no edit is lost (${COMMAND})`,
  async (t) => {
    const release = releasers()
    t.teardown(() => release.releaseAll())
    // Never SQLSERVER_URL: the clinic's locks and rules are judged by its own contract tests.
    const { SQLSERVER_URL: _, ...env } = process.env
    const lines: string[] = []
    const proof = await prove({
      seed: SEED,
      ms: MINUTES * 60_000,
      release,
      env,
      say: (line) => void lines.push(`${(performance.now() / 1000).toFixed(1)} ${line}`),
      patienceMs: 20_000,
      watchMs: 1_000,
    })
    report(screenInto(lines), proof, COMMAND, 0)
    t.ok(holds(proof), 'it holds', { report: lines })
    t.ok(proof.edits.staff > 50 && proof.edits.doctors > 20, 'people were at work', { edits: proof.edits })
    t.ok(proof.damage.kill + proof.damage.replace > 0, 'something went wrong', { damage: proof.damage })
    t.ok(proof.copies > 10, 'messages came again')
    t.ok(proof.rows > 60 && proof.values > 500, 'everything was compared')
  },
)
