import t from 'tap'
import { refuseTransactionMode } from '../src/transaction-mode.ts'
import { recordingLog } from './help.ts'

const check = (POSTGRES_URL: string, PORTAL_DOORBELL: 'listen' | 'webhook' | 'none' = 'listen') => {
  const { log, texts } = recordingLog()
  refuseTransactionMode({ POSTGRES_URL, PORTAL_DOORBELL }, log)
  return texts(40)
}

t.test("Supabase's transaction mode cannot be listened on", async (t) => {
  for (const host of ['aws-0-eu-central-1.pooler.supabase.com', 'db.abcdefgh.supabase.co', 'DB.ABCDEFGH.SUPABASE.CO']) {
    const url = `postgres://postgres:PLANTED@${host}:6543/postgres`
    try {
      check(url)
      t.fail('it was taken')
    } catch (error) {
      t.match(error, { code: 'SYNC_CONFIG', message: /port 6543.*port 5432.*see POSTGRES_URL in \.env\.example/ })
      t.notMatch(String(error), /PLANTED|supabase/i)
    }
    t.same(check(url.replace('6543', '5432')), [])
    for (const doorbell of ['webhook', 'none'] as const) t.same(check(url, doorbell), [])
  }
})

t.test('at another host the port may be anything: a warning', async (t) => {
  t.match(check('postgres://u:PLANTED@127.0.0.1:6543/portal'), [/port 6543.*plain Postgres/])
  t.match(check('postgres://u:p@supabase.com.example:6543/portal?sslmode=require'), [/port 6543/])
  for (const url of ['postgres://u:p@127.0.0.1/portal', 'postgresql://u:6543@[::1]:5432/6543']) t.same(check(url), [])
})
