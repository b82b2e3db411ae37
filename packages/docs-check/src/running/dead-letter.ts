import { setTimeout as delay } from 'node:timers/promises'
import { deadLetterQueues, openDeadLetterBox } from '@clinic-sync/broker'
import type { Made } from './make.ts'
import type { Stage } from './stage.ts'

/** How long the pipeline may take for one change, and how often it is asked. Milliseconds. */
const PATIENCE_MS = 20_000
const ASK_MS = 30

let made = 0

/**
 * A clinic's change that the portal refuses, as a constraint of the portal's own would.
 *
 * @param code the SQLSTATE with which it does; a permanent one.
 * @param passes the portal takes it by the time that the block is run.
 * @returns the dead letter's id. Undone, its row is as it was, on both sides, and no dead letter is left.
 */
export async function makeDeadLetter(stage: Stage, { code, passes }: { code: string; passes: boolean }): Promise<Made> {
  const name = `docs_check_${++made}`
  const phone = `docs-check ${made}`
  const { portal } = stage
  const { key, was } = await aPatient(stage, made)
  const take = () => portal.query(`DROP TRIGGER IF EXISTS ${name} ON patients; DROP FUNCTION IF EXISTS ${name}()`)
  await portal.query(`
    CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused for a page of the docs' USING ERRCODE = '${code}'; END $$;
    CREATE TRIGGER ${name} BEFORE UPDATE ON patients FOR EACH ROW WHEN (NEW.phone = '${phone}') EXECUTE FUNCTION ${name}()`)
  await edit(stage, key, phone, 'Failed')
  const id = await idOf(stage, key)
  if (passes) await take()
  return {
    text: id,
    async undo() {
      await take()
      await edit(stage, key, was, 'Synced')
      await emptyBox(stage)
    },
  }
}

/** The n-th one that is synced, so that two dead letters are never of one row. */
async function aPatient({ portal, demo }: Stage, n: number): Promise<{ key: number; was: string | null }> {
  const { rows } = await portal.query<{ key: number }>(
    'SELECT person_id AS key FROM patients ORDER BY 1 DESC OFFSET $1 LIMIT 1',
    [n],
  )
  const key = rows[0]?.key
  if (key === undefined) throw new Error('the sample clinic has no patient')
  const { recordset } = await demo.clinic
    .request()
    .query<{ Phone: string | null }>(`SELECT Phone FROM tblpatients WHERE PersonID = ${Number(key)}`)
  return { key: Number(key), was: recordset[0]?.Phone ?? null }
}

/** Changes a patient's phone number in the clinic, and waits until its outbox says so of it. */
async function edit({ demo }: Stage, key: number, phone: string | null, until: 'Synced' | 'Failed'): Promise<void> {
  const request = demo.clinic.request().input('phone', phone)
  await request.query(`UPDATE tblpatients SET Phone = @phone WHERE PersonID = ${key}`)
  await demo.services.ring()
  const deadline = performance.now() + PATIENCE_MS
  while (performance.now() < deadline) {
    const { recordset } = await demo.clinic
      .request()
      .query<{ Status: string }>(
        `SELECT TOP (1) Status FROM dbo.SyncQueue WHERE TableName = N'patients' AND RecordID = ${key} ORDER BY QueueID DESC`,
      )
    if (recordset[0]?.Status === until) return
    await delay(ASK_MS)
  }
  throw new Error(`the change of patients/${key} did not become ${until} in ${PATIENCE_MS / 1_000} s`)
}

async function idOf({ demo }: Stage, key: number): Promise<string> {
  const box = await openDeadLetterBox({ url: demo.addresses.rabbit, name: 'docs-check' })
  try {
    const letter = box.letters.findLast(({ about }) => about?.table === 'patients' && about.key === key)
    if (letter === undefined) throw new Error(`there is no dead letter of patients/${key}`)
    return letter.id
  } finally {
    await box.close()
  }
}

async function emptyBox({ demo }: Stage): Promise<void> {
  const box = await openDeadLetterBox({ url: demo.addresses.rabbit, name: 'docs-check', queues: deadLetterQueues() })
  for (const letter of box.letters) box.remove(letter)
  await box.close()
}
