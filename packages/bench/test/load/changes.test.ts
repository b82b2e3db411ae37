import { connectClinic, loadClinic } from '@clinic-sync/demo'
import { testClinic } from '@clinic-sync/dev-services/testing'
import { TABLE_NAMES } from '@clinic-sync/mapping'
import t from 'tap'
import { changeClinic } from '../../src/load/changes.ts'
import { clinicOf, extentOf } from '../../src/load/clinic.ts'

// A figure of so many changes a second says nothing if they were not so many.
const RECORDS = 500

const { url } = await testClinic(t)
const clinic = await connectClinic(url)
t.teardown(() => clinic.close())
const queued = async () => {
  const { recordset } = await clinic
    .request()
    .query<{ TableName: string; RecordID: number }>('SELECT TableName, RecordID FROM dbo.SyncQueue')
  await clinic.request().query('DELETE FROM dbo.SyncQueue')
  return recordset.map(({ TableName, RecordID }) => `${TableName}/${RecordID}`)
}

t.test('a change of the clinic is one of each record, of all seven kinds, and the next one is again', async (t) => {
  await loadClinic(clinic, clinicOf(extentOf(RECORDS)))
  await queued()
  for (const time of ['first', 'second', 'third']) {
    await changeClinic(clinic)
    const rows = await queued()
    t.equal(rows.length, RECORDS, `rows, the ${time} time`)
    t.equal(new Set(rows).size, RECORDS, 'each of another record')
    t.same(new Set(rows.map((row) => row.split('/')[0])), new Set(TABLE_NAMES))
  }
})

t.test('any number of records comes out as that', async (t) => {
  for (const records of [100, 500, 1_001, 5_000, 50_000]) {
    const { doctors, patients, works, sets, batches, notes, payments } = extentOf(records)
    t.equal(doctors + patients + works + sets + batches + notes + payments, records)
    t.ok(payments <= sets, 'a payment has a set')
  }
})
