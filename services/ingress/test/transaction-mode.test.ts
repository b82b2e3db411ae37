import t from 'tap'
import { refuseTransactionMode } from '../src/transaction-mode.ts'

const refusal = (POSTGRES_URL: string, PORTAL_DOORBELL: 'listen' | 'webhook' | 'none' = 'listen'): unknown => {
  try {
    refuseTransactionMode({ POSTGRES_URL, PORTAL_DOORBELL })
    return null
  } catch (error) {
    return error
  }
}

t.test("Supabase's transaction mode cannot be listened on", async (t) => {
  for (const host of ['aws-0-eu-central-1.pooler.supabase.com', 'db.abcdefgh.supabase.co', 'DB.ABCDEFGH.SUPABASE.CO']) {
    const url = `postgres://postgres:PLANTED@${host}:6543/postgres`
    t.match(refusal(url), {
      code: 'SYNC_CONFIG',
      message: /port 6543.*port 5432.*see POSTGRES_URL in \.env\.example/,
    })
    t.notMatch(String(refusal(url)), /PLANTED|supabase/i)
    t.equal(refusal(url.replace('6543', '5432')), null)
    for (const doorbell of ['webhook', 'none'] as const) t.equal(refusal(url, doorbell), null)
  }
})

t.test('at another host the port may be anything', async (t) => {
  for (const url of [
    'postgres://u:p@127.0.0.1:6543/portal',
    'postgres://u:p@supabase.com.example:6543/portal?sslmode=require',
    'postgres://u:p@127.0.0.1/portal',
    'postgresql://u:6543@[::1]:5432/6543',
  ]) {
    t.equal(refusal(url), null)
  }
})
