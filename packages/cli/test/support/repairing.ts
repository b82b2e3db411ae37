import type { Test } from 'tap'
import { type VerifyCommand, verifyCommand } from '../../src/verify/verify.ts'
import { tripwire } from './tripwire.ts'
import { paper, until, world } from './whole-sync.ts'

/**
 * The whole sync, running, and `verify --repair` on wires of its own to both databases.
 *
 * @param rabbit one of the test's own
 */
export async function repairing(t: Test, rabbit: { readonly url: string } | null = null) {
  const { environment: usual, simulator, clinicSql, portalSql, startIngress, startConsumers } = await world(t)
  if (rabbit !== null) usual.RABBITMQ_URL = rabbit.url
  const ingress = await startIngress()
  await startConsumers()
  const clinic = await tripwire(t, simulator.url, 'utf16le')
  const portal = await tripwire(t, usual.POSTGRES_URL, 'utf8')
  const environment = {
    ...usual,
    SQLSERVER_ADMIN_URL: clinic.url,
    POSTGRES_ADMIN_URL: portal.url,
  }
  let [days, born] = [20, -100]

  await clinicSql(`SET IDENTITY_INSERT dbo.AlignerDoctors ON;
    INSERT INTO dbo.AlignerDoctors (DrID, DoctorName) VALUES (1, N'Dr One');
    SET IDENTITY_INSERT dbo.AlignerDoctors OFF;
    SET IDENTITY_INSERT dbo.tblpatients ON;
    INSERT INTO dbo.tblpatients (PersonID, PatientName) VALUES (1, N'Test Patient');
    SET IDENTITY_INSERT dbo.tblpatients OFF;
    SET IDENTITY_INSERT dbo.tblwork ON;
    INSERT INTO dbo.tblwork (workid, PersonID, TotalRequired, Typeofwork, DrID, Status) VALUES (1, 1, 0, 19, 1, 1);
    SET IDENTITY_INSERT dbo.tblwork OFF;
    INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID) VALUES (1, 1, 1);
    INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days, Notes)
    VALUES (1, 1, 4, 3, 10, N'as it was'), (1, 2, 4, 3, 10, N'as it was')`)

  return {
    simulator,
    portalSql,
    wires: { clinic, portal },
    ingress,

    /** @param onRepair called once the comparison is over, and the repair begins */
    async run(onRepair: () => void = () => undefined, options: Partial<VerifyCommand> = {}) {
      const { out, text } = paper()
      const began = performance.now()
      const command = verifyCommand({
        environment,
        repair: true,
        dryRun: false,
        yes: true,
        json: false,
        showValues: false,
        patienceMs: 30_000,
        out: {
          write(line: string) {
            if (line.includes(' sent from the clinic to the portal')) onRepair()
            return out.write(line)
          },
        },
        progressOn: paper().out as unknown as NodeJS.WriteStream,
        signal: new AbortController().signal,
        ...options,
      })
      const ended = await command.then(
        (code) => ({ code, error: '' }),
        (error: Error) => ({ code: 1, error: error.message }),
      )
      return { ...ended, text: text(), ms: performance.now() - began }
    },

    /** Of each step one: sent by the portal, queued in the clinic, a delete on which nobody rules, deleted, a note that was never sent. */
    async plant(): Promise<void> {
      days++
      born--
      await until('all has arrived', async () => {
        const [clinics] = await clinicSql(
          "SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status IN ('Pending', 'Queued')",
        )
        const [portals] = await portalSql(
          "SELECT count(*)::int AS n FROM sync.queue WHERE status IN ('Pending', 'Queued')",
        )
        return clinics?.n === 0 && portals?.n === 0
      })
      await portalSql(`BEGIN;
        DELETE FROM aligner_batches WHERE aligner_batch_id = 2;
        DELETE FROM sync.queue WHERE table_name = 'aligner_batches' AND record_id = 2;
        SET LOCAL session_replication_role = replica;
        UPDATE aligner_batches SET days = ${days}, notes = 'planted' WHERE aligner_batch_id = 1;
        UPDATE patients SET patient_name = 'planted' WHERE person_id = 1;
        INSERT INTO aligner_sets (aligner_set_id, work_id, aligner_dr_id) VALUES (99, 1, 1);
        INSERT INTO aligner_notes (note_id, aligner_set_id, note_type, note_text, is_read)
        VALUES (${born}, 1, 'Doctor', 'never sent', false);
        COMMIT`)
    },

    /** Each value on both sides is that of who was right, and what was overwritten is on record. */
    async check(t: Test): Promise<void> {
      t.match(await clinicSql('SELECT Days, Notes FROM dbo.tblAlignerBatches WHERE AlignerBatchID = 1'), [
        { Days: days, Notes: 'as it was' },
      ])
      t.match(await clinicSql(`SELECT NoteText FROM dbo.tblAlignerNotes WHERE NoteID = ${born}`), [
        { NoteText: 'never sent' },
      ])
      const rows = await portalSql(`SELECT
        (SELECT count(*)::int FROM aligner_sets WHERE aligner_set_id = 99) AS sets,
        (SELECT notes FROM aligner_batches WHERE aligner_batch_id = 2) AS notes,
        (SELECT patient_name FROM patients) AS name,
        (SELECT count(*)::int FROM sync.lost_edits
         WHERE table_name = 'aligner_batches' AND lost_row ->> 'notes' = 'planted' AND lost_row -> 'days' = '${days}') AS kept`)
      t.match(rows, [{ sets: 0, notes: 'as it was', name: 'Test Patient', kept: 1 }])
    },
  }
}
