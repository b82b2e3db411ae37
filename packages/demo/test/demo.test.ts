import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { childEnvironment, nodeArguments } from '../src/run/child.ts'

// Whole services are started: on a busy machine that alone takes longer than a test may by default.
t.setTimeout(400_000)

/** The only place where the demo may put anything: what it leaves there is seen. */
const folder = await mkdtemp(join(tmpdir(), 'clinic-sync-demo-test-'))
// Postgres does not run as root: its own user must get through.
await chmod(folder, 0o755)
t.teardown(() => rm(folder, { recursive: true }))

interface Ended {
  readonly code: number | null
  readonly output: string
}

/** Runs the demo with the simulator, whatever this machine's settings say, and calls back with its output so far. */
function runDemo(args: readonly string[], onOutput: (output: string, kill: () => void) => void): Promise<Ended> {
  const child = spawn(process.execPath, [...nodeArguments('packages/demo/src/main.ts'), ...args], {
    env: { ...childEnvironment({}), NO_COLOR: '1', TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      onOutput(output, () => child.kill('SIGINT'))
    })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })))
}

t.test('--once: every edit arrives, both sides are equal, nothing is left', async (t) => {
  const { code, output } = await runDemo(['--once'], () => undefined)
  t.equal(code, 0, output)
  t.match(output, /simulator/)
  t.match(output, /10 live edits in the clinic, 10 arrived/)
  t.match(output, /5 live edits in the portal, 5 arrived/)
  const medians = [...output.matchAll(/arrived: median (\d+) ms/g)].map(([, ms]) => Number(ms))
  t.equal(medians.length, 2, 'one each way')
  for (const ms of medians) t.ok(ms < 1_000, `${ms} ms from commit to visible`)
  t.match(output, /portal-wins: both sides hold “8”/)
  t.match(output, /clinic-wins: both sides hold “Delivery moved to Sunday”/)
  t.match(output, /rows, [\d,]+ values compared: no difference/)
  t.same(
    (await readdir(folder)).filter((name) => name.startsWith('clinic-sync')),
    [],
  )
})

t.test('Ctrl-C, while the services start: it stops cleanly', async (t) => {
  const { code, output } = await runDemo([], (output, interrupt) => {
    if (output.includes('Starting the services')) interrupt()
  })
  t.equal(code, 0, output)
  t.match(output, /Stopping/)
  t.same(
    (await readdir(folder)).filter((name) => name.startsWith('clinic-sync')),
    [],
  )
})

t.test('in a running demo a doctor’s statements are executed, several at once too', async (t) => {
  let told: Promise<Ended> | undefined
  const statements = 'UPDATE aligner_batches SET days = 33 WHERE aligner_batch_id = 5; SELECT 7 AS seven'
  const { code, output } = await runDemo([], (soFar, interrupt) => {
    if (told !== undefined || !soFar.includes('Running. Try it')) return
    told = runDemo(['portal', statements], () => undefined)
    void told.finally(interrupt)
  })
  t.equal(code, 0, output)
  const doctor = await told
  t.match(doctor?.output, /1 row affected[^]*seven .?7[^]*aligner_batches\/5 UPDATE {2}Synced/)
  t.equal(doctor?.code, 0)
})
