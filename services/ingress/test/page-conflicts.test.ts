import type { Rulings, RulingValues, Versions } from '@clinic-sync/contracts'
import { DatabaseError, type LoggedRuling } from '@clinic-sync/sync'
import t from 'tap'
import { mergedRulings, type Sides } from '../src/page/conflicts.ts'
import { pageStage } from './page-stage.ts'

const ruling = (side: 'clinic' | 'portal', n: number, minute: number): LoggedRuling => ({
  id: `${side}/${n}`,
  table: 'aligner_notes',
  key: n,
  columns: ['note_text'],
  ruling: 'clinic-wins',
  version: '7',
  at: new Date(Date.UTC(2026, 0, 31, 8, minute)).toISOString(),
})

/** A log by keyset, as either side gives it. */
function logged(side: 'clinic' | 'portal', minutes: readonly number[]): Sides['clinic'] {
  const all = minutes.map((minute, index) => ruling(side, index + 1, minute)).toReversed()
  return {
    rulings: async (before, max) =>
      all.filter(({ key }) => before === null || key < Number(before.slice(side.length + 1))).slice(0, max),
    ruledValues: async () => null,
  }
}

t.test('both logs, the newest first, page by page: each once, and none left out', async (t) => {
  // The portal's clock was set back in between: within a side the log's order holds.
  const sides = {
    clinic: logged('clinic', [1, 3, 5, 7, 9, 11, 13]),
    portal: logged('portal', [2, 4, 50, 6, 8]),
  }
  for (const max of [1, 2, 3, 5, 12, 200]) {
    const seen: string[] = []
    let next: string | undefined
    for (let page = 0; page < 30; page++) {
      const told: Rulings = await mergedRulings(sides, max, next)
      t.ok(told.rulings.length <= max)
      seen.push(...told.rulings.map(({ id }) => id))
      if (told.next === null) break
      next = told.next
    }
    t.same(
      seen.filter((id) => id.startsWith('clinic')),
      [7, 6, 5, 4, 3, 2, 1].map((n) => `clinic/${n}`),
      `by ${max}`,
    )
    t.same(
      seen.filter((id) => id.startsWith('portal')),
      [5, 4, 3, 2, 1].map((n) => `portal/${n}`),
    )
    t.same(seen.slice(0, 4), ['clinic/7', 'clinic/6', 'clinic/5', 'portal/5'])
  }
})

t.test('a side that is away is said so, and asked again with the next page', async (t) => {
  const away = {
    rulings: () => Promise.reject(new DatabaseError('down', 'It cannot be reached.')),
    ruledValues: () => Promise.reject(new DatabaseError('down', 'It cannot be reached.')),
  }
  const portal = logged('portal', [1, 2])
  const told = await mergedRulings({ clinic: away, portal }, 50)
  t.same(
    told.rulings.map(({ id }) => id),
    ['portal/2', 'portal/1'],
  )
  t.same(told.unasked, ['Not known of the clinic: It cannot be reached.'])
  t.equal(told.next, ',portal/1')
  const clinic = logged('clinic', [1])
  t.match(await mergedRulings({ clinic, portal }, 50, ',portal/1'), { rulings: [{ id: 'clinic/1' }], next: null })
  const silent = { ...away, rulings: () => new Promise<never>(() => undefined) }
  const late = await mergedRulings({ clinic: silent, portal }, 50, undefined, 50)
  t.match(late.unasked, [/^Not known of the clinic: The clinic's database did not answer within/])
})

t.test('on both databases: without values, and with them for who asks', async (t) => {
  const stage = await pageStage(t)
  const { ask, staff, admin, lines } = stage
  const VALUE = 'Value-of-a-patient'
  await staff.batch(`INSERT INTO sync.Conflicts (TableName, RecordID, ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, PortalVersion)
    VALUES (N'aligner_notes', 5, N'note_text', N'${VALUE} 1', N'${VALUE} 2', N'${VALUE} 3', N'clinic-wins', 9)`)
  await admin.query(
    `INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, lost_row) VALUES ('aligner_notes', 6, 3, 2, $1)`,
    [{ note_id: 6, note_text: `${VALUE} 4` }],
  )
  const { status, body, text, headers } = await ask<Rulings>('/conflicts')
  t.equal(status, 200)
  t.equal(headers.get('cache-control'), 'no-store')
  t.same(body.rulings.map(({ key }) => key).toSorted(), [5, 6])
  t.notOk(text.includes(VALUE))
  const clinics = body.rulings.find(({ key }) => key === 5)
  const portals = body.rulings.find(({ key }) => key === 6)
  t.match(clinics, { id: /^clinic\/\d+$/, columns: ['note_text'], ruling: 'clinic-wins', version: '9' })
  const values = await ask<RulingValues>(`/conflicts/${clinics?.id}/values`)
  t.match(values.body, {
    id: clinics?.id,
    values: [{ column: 'note_text', clinic: `${VALUE} 1`, portal: `${VALUE} 2`, base: `${VALUE} 3` }],
  })
  t.equal(values.headers.get('cache-control'), 'no-store')
  const lost = await ask<RulingValues>(`/conflicts/${portals?.id}/values`)
  t.ok(lost.body.values.some(({ column, portal }) => column === 'note_text' && portal === `${VALUE} 4`))
  t.match(await ask('/conflicts/portal/999999/values'), { status: 404, body: { message: /no such ruling/ } })
  for (const path of ['nobody/1', 'clinic/x', 'clinic/1;2', 'clinic/%27', `clinic/${'9'.repeat(19)}`])
    t.match(await ask(`/conflicts/${path}/values`), { status: 400 }, path)
  for (const query of [
    'max=0',
    'max=201',
    'max=1e2',
    'before=clinic/1',
    'before=portal/1,clinic/2',
    'before=x,',
    'x=1',
  ])
    t.match(await ask(`/conflicts?${query}`), { status: 400 }, query)
  t.match(await ask('/conflicts?max=1'), {
    status: 200,
    body: { rulings: { length: 1 }, next: /^(clinic\/\d+)?,(portal\/\d+)?$/ },
  })

  await t.test('versions', async (t) => {
    const before = stage.simulator.queries()
    const { body: versions } = await ask<Versions>('/versions')
    t.match(versions, {
      version: /^\d+\.\d+\.\d+$/,
      node: process.version,
      migrations: { portal: /^99_/ },
      rabbitmq: /^\d+\.\d+/,
      doorbells: { clinic: 'none', portal: 'none' },
    })
    t.type(versions.migrations.clinic, 'string')
    const asked = stage.simulator.queries()
    t.ok(asked > before)
    await ask('/versions')
    t.equal(stage.simulator.queries(), asked, 'the databases are not asked again')
  })

  stage.simulator.pause()
  const away = await ask<Rulings>('/conflicts')
  t.match(away.body, { rulings: [{ key: 6 }], unasked: [/^Not known of the clinic/] })
  t.match(await ask(`/conflicts/${clinics?.id}/values`), { status: 503, body: { code: 'SYNC_DATABASE_DOWN' } })
  stage.simulator.resume()
  const told = JSON.stringify(lines)
  t.notOk(told.includes(VALUE))
  t.equal(lines.filter(({ msg }) => msg === 'somebody has looked at the values of a ruling').length, 2)
})
