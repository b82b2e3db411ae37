import { migrate } from '@clinic-sync/cli'
import { testPostgres } from '@clinic-sync/dev-services/testing'
import pg from 'pg'
import type { Test } from 'tap'

export interface TestPortal {
  readonly url: string
  readonly query: (text: string, values?: unknown[]) => Promise<Record<string, unknown>[]>
}

/** A database with the portal's tables and schema sync. */
export async function testPortal(t: Test, server?: string): Promise<TestPortal> {
  const url = server ?? (await testPostgres(t)).url
  await migrate({ side: 'portal', url, withPortalTables: true })
  const pool = new pg.Pool({ connectionString: url, max: 2 })
  pool.on('error', () => undefined)
  t.teardown(() => pool.end())
  return { url, query: async (text, values = []) => (await pool.query(text, values)).rows as Record<string, unknown>[] }
}

/** Counts every write of a patient, in `public.writes`: what is applied twice shows. */
export async function countWrites({ query }: TestPortal): Promise<void> {
  await query(`CREATE TABLE public.writes (name text, key int)`)
  await query(`CREATE FUNCTION public.count_write() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO public.writes VALUES (TG_TABLE_NAME, NEW.person_id); RETURN NULL; END $$`)
  await query(`CREATE TRIGGER count_write AFTER INSERT OR UPDATE ON public.patients
    FOR EACH ROW EXECUTE FUNCTION public.count_write()`)
}
