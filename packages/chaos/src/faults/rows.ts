import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Fault } from '../fault.ts'
import type { Ground } from '../ground/ground.ts'
import { patiently } from '../ground/patience.ts'

/** What else there is must pass a held row within this. */
const PASS_MS = 60_000

async function othersPass({ canaries, troubles }: Ground): Promise<void> {
  const flight = await canaries.fly(PASS_MS)
  for (const [way, ms] of Object.entries(flight))
    if (ms === null) troubles.push(`a held row stops everything else ${way}`)
}

const heldInClinic: Fault = {
  name: 'held-in-clinic',
  about:
    'a member of staff holds a row for as long as it lasts (an hour is no different), while a doctor edits it: all else flows',
  lastsMs: [10_000, 25_000],
  async inject(ground) {
    const { clinic, portal, canaries } = ground
    const key = canaries.held.clinic
    const transaction = clinic.transaction()
    await transaction.begin()
    await transaction.request().query(`UPDATE dbo.tblAlignerNotes SET NoteText = NoteText WHERE NoteID = ${key}`)
    await portal.query(
      `UPDATE public.aligner_notes SET note_text = 'while it is held ' || random() WHERE note_id = ${key}`,
    )
    await othersPass(ground)
    return async () => {
      await transaction.rollback().catch(() => undefined)
    }
  },
}

const heldInPortal: Fault = {
  name: 'held-in-portal',
  about: 'a doctor holds a row, likewise, while staff edit it',
  lastsMs: [10_000, 25_000],
  async inject(ground, random) {
    const { clinic, canaries, world } = ground
    const key = canaries.held.portal
    const doctor = new pg.Client({ connectionString: world.addresses.portal })
    doctor.on('error', () => undefined)
    await doctor.connect()
    await doctor.query(`BEGIN; SELECT FROM public.aligner_notes WHERE note_id = ${key} FOR UPDATE`)
    await patiently(() =>
      clinic
        .request()
        .query(
          `UPDATE dbo.tblAlignerNotes SET NoteText = 'while it is held ${random.int(1, 1e9)}' WHERE NoteID = ${key}`,
        ),
    )
    await othersPass(ground)
    return async () => {
      await Promise.race([doctor.end().catch(() => undefined), delay(2_000)])
    }
  },
}

export const ROW_FAULTS: readonly Fault[] = [heldInClinic, heldInPortal]
