import { openScriptConnection } from '@clinic-sync/clinic'
import t from 'tap'
import { startSimulator, type Written } from '../src/index.ts'

const simulator = await startSimulator()
const connection = openScriptConnection(simulator.url)
t.teardown(async () => {
  await connection.close()
  await simulator.stop()
})
const heard: Written[] = []
const unwatch = simulator.watch((written) => heard.push(written))
const after = async (statement: string) => {
  heard.length = 0
  await connection.batch(statement)
  return [...heard]
}

t.test('what a statement wrote is told at its commit, whoever looks', async (t) => {
  const both = "INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr Test'), (N'Dr Other')"
  t.same(await after(both), [{ table: 'AlignerDoctors', keys: [1, 2] }])
  await connection.batch('BEGIN TRANSACTION')
  t.same(await after("UPDATE dbo.AlignerDoctors SET LogoPath = N'/1.png' WHERE DrID = 2"), [], 'not before')
  t.same(await after('COMMIT'), [{ table: 'AlignerDoctors', keys: [2] }])
})

t.test('what is taken back, or is no synced row, is not told', async (t) => {
  await connection.batch('BEGIN TRANSACTION')
  await connection.batch('DELETE FROM dbo.AlignerDoctors')
  t.same(await after('ROLLBACK'), [])
  t.same(await after("UPDATE sync.Settings SET Value = N'8' WHERE Name = N'RetentionDays'"), [])
})

t.test('nothing is told afterwards', async (t) => {
  unwatch()
  t.same(await after('DELETE FROM dbo.AlignerDoctors WHERE DrID = 2'), [])
})
