import type { RecordTold } from '@clinic-sync/contracts'
import t from 'tap'
import { pageStage } from './page-stage.ts'

const stage = await pageStage(t)
const { ask, settled, staff, admin, lines, simulator } = stage
const VALUE = 'Name-of-a-doctor'
const looks = () => lines.filter(({ msg }) => msg === 'somebody has looked at the values of a record').length

t.test('one record’s story: in words, and values for who asks for them', async (t) => {
  await staff.batch(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'${VALUE}')`)
  await settled()
  const { status, body, text, headers } = await ask<RecordTold>('/records/aligner_doctors/1')
  t.equal(status, 200)
  t.equal(headers.get('cache-control'), 'no-store')
  t.match(body, { table: 'aligner_doctors', key: 1, verdict: 'same', equal: true, outlook: 'none', unasked: [] })
  t.match(body.sections[0], { heading: 'In short', sentences: [/the same in the clinic and in the portal/] })
  t.notOk(text.includes(VALUE))
  t.equal(looks(), 0)
  t.notOk((await ask('/records/aligner_doctors/1?values=false')).text.includes(VALUE))
  const shown = await ask<RecordTold>('/records/AlignerDoctors/1?values=true')
  t.match(
    shown.body.columns.find(({ column }) => column === 'doctor_name'),
    { equal: true, clinic: VALUE, portal: VALUE },
  )
  t.equal(looks(), 1, 'the log says that somebody has looked')
})

t.test('a difference behind the system’s back is told by its column', async (t) => {
  await admin.query(`SET session_replication_role = replica`)
  await admin.query(`UPDATE aligner_doctors SET doctor_name = 'Another-name' WHERE dr_id = 1`)
  await admin.query(`SET session_replication_role = DEFAULT`)
  const { body, text } = await ask<RecordTold>('/records/aligner_doctors/1')
  t.match(body, { verdict: 'apart', equal: false })
  t.match(
    body.columns.find(({ column }) => column === 'doctor_name'),
    { equal: false, how: String },
  )
  t.notOk(text.includes(VALUE) || text.includes('Another-name'))
})

t.test('what is none is said so, and nothing that was sent is repeated', async (t) => {
  t.match(await ask('/records/aligner_doctors/4711'), { status: 200, body: { verdict: 'never', equal: null } })
  const wrong = ['nothing/1', 'aligner_doctors/x', 'aligner_doctors/1.5', 'aligner_doctors/99999999999', 'a%20b%3C/1']
  for (const path of [
    ...wrong,
    'aligner_doctors/9999999999',
    'aligner_doctors/1?values=yes',
    'aligner_doctors/1?x=1',
  ]) {
    const answer = await ask(`/records/${path}`)
    t.equal(answer.status, 400, path)
    t.notOk(answer.text.includes('<'), path)
  }
  t.equal((await ask('/records/aligner_doctors')).status, 404)
})

t.test('a side that is away is named, and the rest is told', async (t) => {
  simulator.pause()
  const { status, body } = await ask<RecordTold>('/records/aligner_doctors/1')
  simulator.resume()
  t.equal(status, 200)
  t.match(body, { verdict: 'unknown', unasked: ['clinic'] })
  await stage.rabbit.stop()
  const without = await ask<RecordTold>('/records/aligner_doctors/1')
  t.match(without.body, { verdict: 'apart', unasked: ['RabbitMQ'] })
  t.notOk(JSON.stringify(lines).includes(VALUE))
})
