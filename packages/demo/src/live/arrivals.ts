import { tables } from '@clinic-sync/mapping'
import pg from 'pg'

/** A write of the sync that has become visible in the portal. */
export interface Arrival {
  readonly table: string
  readonly key: string
  readonly operation: 'INSERT' | 'UPDATE' | 'DELETE'
  /** Changed columns: before and now, cut to 30 characters. */
  readonly changed: Readonly<Record<string, readonly [string | null, string | null]>>
  /** `performance.now()` when the notification reached this process. */
  readonly at: number
}

/**
 * The demo's own triggers in its own portal database, never part of the product: each write is told to whoever listens,
 * at the moment of its commit, which is how latency is measured without asking again and again. A notification holds
 * less than 8,000 bytes, so values are cut.
 */
const DEMO_TRIGGERS = `
CREATE SCHEMA demo;
CREATE FUNCTION demo.tell() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  old_row jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}' ELSE to_jsonb(OLD) END;
  new_row jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}' ELSE to_jsonb(NEW) END;
  changed jsonb;
BEGIN
  SELECT jsonb_object_agg(c, jsonb_build_array(left(old_row ->> c, 30), left(new_row ->> c, 30))) INTO changed
    FROM unnest(TG_ARGV[1:]) AS c WHERE old_row ->> c IS DISTINCT FROM new_row ->> c;
  PERFORM pg_notify('demo_arrival', jsonb_build_object('table', TG_TABLE_NAME,
    'key', coalesce(new_row ->> TG_ARGV[0], old_row ->> TG_ARGV[0]), 'operation', TG_OP,
    'changed', coalesce(changed, '{}'))::text);
  RETURN NULL;
END $$;
${tables
  .map((table) => {
    const columns = table.columns.map((column) => `'${column.name}'`).join(', ')
    return `CREATE TRIGGER demo_tell AFTER INSERT OR UPDATE OR DELETE ON public.${table.name}
  FOR EACH ROW EXECUTE FUNCTION demo.tell('${table.key.name}', ${columns});`
  })
  .join('\n')}`

export interface Arrivals {
  /** Every arrival from now on, until the returned function is called. */
  subscribe(onArrival: (arrival: Arrival) => void): () => void
  /** Runs a query on the portal. */
  query(text: string): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** Runs statements in one transaction, on a connection of its own. */
  transaction(statements: readonly string[]): Promise<void>
  close(): Promise<void>
}

/**
 * Listens to the demo's portal database.
 *
 * @param install puts the demo's triggers there first; once is enough.
 */
export async function listenForArrivals(portalUrl: string, install: boolean): Promise<Arrivals> {
  const client = new pg.Client({ connectionString: portalUrl, application_name: 'clinic-sync demo' })
  client.on('error', () => undefined)
  await client.connect()
  const listeners = new Set<(arrival: Arrival) => void>()
  client.on('notification', ({ payload }) => {
    const arrival: Arrival = { ...JSON.parse(payload ?? '{}'), at: performance.now() }
    for (const listener of listeners) listener(arrival)
  })
  const doctor = new pg.Client({ connectionString: portalUrl, application_name: 'clinic-sync demo (a doctor)' })
  doctor.on('error', () => undefined)
  await doctor.connect()
  if (install) await client.query(DEMO_TRIGGERS)
  await client.query('LISTEN demo_arrival')
  return {
    subscribe(onArrival) {
      listeners.add(onArrival)
      return () => void listeners.delete(onArrival)
    },
    query: async (text) => (await client.query(text)).rows,
    async transaction(statements) {
      try {
        for (const statement of ['BEGIN', ...statements, 'COMMIT']) await doctor.query(statement)
      } catch (error) {
        await doctor.query('ROLLBACK').catch(() => undefined)
        throw error
      }
    },
    async close() {
      await Promise.all([client.end(), doctor.end()])
    },
  }
}
