import pg from 'pg'
import type { Stage } from './stage.ts'

/** What is edited where it is measured how long an edit takes: both sides may edit either. */
export const EDITED = {
  notes: { clinic: 'tblAlignerNotes', portal: 'aligner_notes', key: 'note_id' },
  batches: { clinic: 'tblAlignerBatches', portal: 'aligner_batches', key: 'aligner_batch_id' },
} as const
export type Edited = keyof typeof EDITED

/** Rows that a commit has written, at this `performance.now()`. */
export type OnWritten = (of: Edited, keys: readonly number[], at: number) => void

const NAMES = Object.entries(EDITED) as [Edited, (typeof EDITED)[Edited]][]

/** Tells of every commit in the clinic, the staff's and the sync's: the simulator itself says when it was. @returns ends it */
export function watchClinic({ server }: Stage, onWritten: OnWritten): Promise<() => Promise<void>> {
  return server.watch(({ table, keys }, at) => {
    const [of] = NAMES.find(([, { clinic }]) => clinic.toLowerCase() === table.toLowerCase()) ?? []
    if (of !== undefined) onWritten(of, keys, at)
  })
}

/** Keys in a notification, which holds less than 8,000 bytes. */
const KEYS = 500
/** Made and dropped by each watch: not the schema that holds the references' tables. */
const SCHEMA = 'bench_watch'

/**
 * A trigger of the benchmark's own, a statement at a time, that notifies of what the sync has written: a notification is sent at the
 * commit, and asking instead would take more from the machine. The time is when it is heard here, after the commit.
 */
const tell = ({ portal, key }: (typeof EDITED)[Edited], of: Edited) => `
CREATE FUNCTION ${SCHEMA}.tell_${of}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('bench_written', '${of}:' || string_agg(${key}::text, ','))
    FROM (SELECT ${key}, row_number() OVER () / ${KEYS} AS part FROM written) AS w GROUP BY part;
  RETURN NULL;
END $$;
CREATE TRIGGER zz_bench_tell AFTER UPDATE ON public.${portal} REFERENCING NEW TABLE AS written FOR EACH STATEMENT
  WHEN (current_setting('sync.applying', true) = 'on') EXECUTE FUNCTION ${SCHEMA}.tell_${of}();`

/** Tells of every commit of the sync in the portal. @returns ends it, and takes its triggers away */
export async function watchPortal({ addresses }: Stage, onWritten: OnWritten): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: addresses.portal })
  client.on('error', () => undefined)
  client.on('notification', ({ payload = '' }) => {
    const at = performance.now()
    const [of, keys = ''] = payload.split(':')
    onWritten(of as Edited, keys.split(',').map(Number), at)
  })
  await client.connect()
  const remove = `DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`
  await client.query(`${remove}; CREATE SCHEMA ${SCHEMA}; ${NAMES.map(([of, names]) => tell(names, of)).join('\n')}`)
  await client.query('LISTEN bench_written')
  return async () => {
    await client.query(remove)
    await client.end()
  }
}
