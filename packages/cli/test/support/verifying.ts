import type { Test } from 'tap'
import { type VerifyCommand, verifyCommand } from '../../src/verify/verify.ts'
import { paper, world } from './whole-sync.ts'

/** The whole sync in this process, in the portal with a login that has its rights alone; a doctor in the clinic; and the command. */
export async function verifying(t: Test) {
  const here = await world(t)
  const { simulator, clinicSql, portalSql } = here
  const owner = here.environment.POSTGRES_URL
  const login = `verify_${Math.random().toString(36).slice(2, 10)}`
  await portalSql(`CREATE ROLE ${login} LOGIN PASSWORD 'secret' IN ROLE clinic_sync`)
  t.teardown(() => portalSql(`DROP ROLE ${login}`))
  const environment = Object.assign(here.environment, {
    POSTGRES_URL: Object.assign(new URL(owner), { username: login, password: 'secret' }).href,
    POSTGRES_ADMIN_URL: owner,
    SQLSERVER_ADMIN_URL: simulator.url,
  })
  await clinicSql(`SET IDENTITY_INSERT dbo.AlignerDoctors ON;
    INSERT INTO dbo.AlignerDoctors (DrID, DoctorName, DoctorEmail) VALUES (1, N'Dr Secret', N'secret@example.org');
    SET IDENTITY_INSERT dbo.AlignerDoctors OFF`)
  return {
    ...here,
    environment,
    login,
    async run(options: Partial<VerifyCommand> = {}) {
      const [told, progress] = [paper(), paper()]
      const code = await verifyCommand({
        environment,
        repair: false,
        dryRun: false,
        yes: false,
        json: false,
        showValues: false,
        patienceMs: 300,
        out: told.out,
        progressOn: progress.out as unknown as NodeJS.WriteStream,
        signal: new AbortController().signal,
        ...options,
      })
      return { code, text: told.text(), progress: progress.text() }
    },
    /** Behind the sync's back, in the portal. */
    behind: (statement: string) =>
      portalSql(`SET session_replication_role = replica; ${statement}; RESET session_replication_role`),
  }
}
