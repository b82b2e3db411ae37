import { randomBytes } from 'node:crypto'
import pg from 'pg'

/** A database of the demo's own on the Postgres server at `url`, dropped by `drop`. */
export async function createPortalDatabase(url: string): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `clinic_sync_demo_${randomBytes(4).toString('hex')}`
  await withClient(url, (client) => client.query(`CREATE DATABASE ${name} ENCODING 'UTF8' TEMPLATE template0`))
  const own = new URL(url)
  own.pathname = `/${name}`
  return {
    url: own.href,
    drop: () => withClient(url, (client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)),
  }
}

async function withClient(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
