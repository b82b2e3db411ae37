import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { migrate } from '@clinic-sync/cli'
import { openClinic } from '@clinic-sync/clinic'
import { testClinic, testPostgres, testVhost } from '@clinic-sync/dev-services/testing'
import { openPortal } from '@clinic-sync/portal'
import { createLogger } from '@clinic-sync/runtime'
import type mssql from 'mssql'
import t, { type Test } from 'tap'
import { compareSides } from '../src/compare.ts'
import { listenForArrivals } from '../src/live/arrivals.ts'
import { loadSampleClinic } from '../src/load.ts'
import { childEnvironment, nodeArguments } from '../src/run/child.ts'
import { connectClinic } from '../src/run/clinic-pool.ts'
import { releasers } from '../src/run/releasers.ts'
import { type Services, startServices } from '../src/run/services.ts'
import { switchDoorbell } from '../src/run/switch-doorbell.ts'

/** A clinic that has worked for years, and a portal that is empty; both migrated, the services running. */
const TIME_ZONE = 'Asia/Baghdad'

async function start(t: Test) {
  const release = releasers()
  t.teardown(() => release.releaseAll())
  const folder = await mkdtemp(join(tmpdir(), 'clinic-sync-backfill-'))
  release.add('folder', () => rm(folder, { recursive: true }))
  const { url, serviceUrl } = await testClinic(t, { migrated: false })
  const addresses = {
    clinic: url,
    clinicServices: serviceUrl,
    portal: (await testPostgres(t)).url,
    rabbit: (await testVhost(t)).url,
  }
  const clinic = await connectClinic(addresses.clinic)
  release.add('clinic', () => clinic.close())
  await loadSampleClinic(clinic)
  await migrate({ side: 'clinic', url: addresses.clinic })
  await migrate({ side: 'portal', url: addresses.portal, withPortalTables: true })
  const arrivals = await listenForArrivals(addresses.portal, true)
  release.add('arrivals', () => arrivals.close())
  const services = await startServices(
    addresses,
    { doorbell: await switchDoorbell(addresses.clinic), timeZone: TIME_ZONE },
    folder,
    release,
  )
  return { addresses, clinic, arrivals, services, folder }
}

/** Runs the command; `kill` ends it as a crash would. */
function runBackfill(services: Services, folder: string, ...args: string[]) {
  const child = spawn(process.execPath, [...nodeArguments('packages/cli/src/main.ts'), 'backfill', ...args], {
    cwd: folder,
    env: childEnvironment(services.settings),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
  const ended = new Promise<{ code: number | null; output: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, output })),
  )
  return { ended, kill: () => child.kill('SIGKILL') }
}

/** People go on working: one edit after the other until told to stop. Returns how many were made. */
async function keepEditing(clinic: mssql.ConnectionPool, signal: AbortSignal): Promise<number> {
  let edits = 0
  for (; !signal.aborted; edits++) {
    const key = (edits * 7) % 40 || 40
    const statement = [
      `UPDATE dbo.tblpatients SET Phone = N'edit ${edits}' WHERE PersonID = ${key}`,
      `UPDATE dbo.tblAlignerNotes SET NoteText = N'edit ${edits}' WHERE NoteID = ${key * 20}`,
      `UPDATE dbo.tblAlignerBatches SET Days = ${edits} WHERE AlignerBatchID = ${key * 10}`,
      `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText, IsRead) VALUES (${key}, 'Lab', N'new ${edits}', 0)`,
    ][edits % 4]
    await clinic.request().query(statement ?? '')
    await delay(2)
  }
  return edits
}

// Whole services are started: on a busy machine that alone takes longer than a test may by default.
t.setTimeout(400_000)

t.test('killed in the middle and started again, with people at work all the time', async (t) => {
  const { addresses, clinic, arrivals, services, folder } = await start(t)
  const stop = new AbortController()
  const editing = keepEditing(clinic, stop.signal)

  const first = runBackfill(services, folder)
  await new Promise<void>((resolve) => {
    arrivals.subscribe(({ table, key }) => {
      // Rows below these keys are edited; this one only the backfill brings.
      if (table === 'aligner_batches' && Number(key) > 450) resolve()
    })
  })
  first.kill()
  t.equal((await first.ended).code, null)

  const second = await runBackfill(services, folder).ended
  stop.abort()
  t.ok((await editing) > 20, 'edits were made meanwhile')
  t.equal(second.code, 0, second.output)
  const queued = Number(/(\d+) rows queued/.exec(second.output)?.[1])
  t.ok(queued > 0 && queued < 1_700, `went on after the watermark: ${queued} rows`)

  const log = createLogger({ name: 'test', level: 'silent' })
  const left = await openClinic({ url: addresses.clinic, timeZone: TIME_ZONE, log })
  const right = await openPortal({ url: addresses.portal, log })
  t.teardown(() => Promise.all([left.close(), right.close()]))
  // The last edits are still on their way.
  let differences: unknown[] = []
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await delay(100)) {
    differences = (await compareSides(left, right)).flatMap((table) => table.differences)
    if (differences.length === 0) break
  }
  t.same(differences, [], 'no edit was overwritten by an older state')

  const third = await runBackfill(services, folder, '--table', 'aligner_batches').ended
  t.match(third.output, /0 rows queued[^]*--restart/)
  t.equal(third.code, 0, third.output)
})

t.test('a dead row is counted, the rest arrives, and the command ends with 1', async (t) => {
  const { clinic, arrivals, services, folder } = await start(t)
  await clinic
    .request()
    .query("INSERT INTO dbo.AlignerDoctors (DoctorName, DoctorEmail) VALUES (N'Dr. Second', N'samer@aligners.example')")
  const { code, output } = await runBackfill(services, folder, '--table', 'aligner_doctors').ended
  t.equal(code, 1, output)
  t.match(output, /1 records are dead/)
  t.match(await arrivals.query('SELECT count(*)::int AS n FROM aligner_doctors'), [{ n: 14 }])
})
