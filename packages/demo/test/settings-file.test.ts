import { readFileSync, statSync } from 'node:fs'
import { parseEnv } from 'node:util'
import t from 'tap'
import { writeSettings } from '../src/run/settings-file.ts'

t.test('what is written is what a command reads, and nobody else may read it', async (t) => {
  const settings = {
    SQLSERVER_URL: 'mssql://sa:a%23b=c@127.0.0.1:1/clinic?encrypt=false#no comment',
    LOG_LEVEL: 'info',
  }
  const file = await writeSettings(settings, t.testdir())
  t.same({ ...parseEnv(readFileSync(file, 'utf8')) }, settings)
  t.equal(statSync(file).mode & 0o777, 0o600)
})
