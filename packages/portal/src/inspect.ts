import { createHash } from 'node:crypto'
import { TABLE_NAMES } from '@clinic-sync/mapping'
import { DatabaseError } from '@clinic-sync/sync'
import * as ask from './inspect-queries.ts'
import { type Database, openPool } from './pool.ts'
import { toWebhook, type WebhookTrigger } from './webhook-trigger.ts'

/** What the doctor command shows of the portal. Null where the login may not see it, or it is not there yet. */
export interface PortalFacts {
  readonly server: ServerFacts
  /** This machine's clock before and after the question, and the server's in between: milliseconds since 1970. */
  readonly clock: { readonly sent: number; readonly server: number; readonly received: number }
  /** Checksums by file name. */
  readonly migrations: ReadonlyMap<string, string> | null
  /** The synced tables that are there. */
  readonly tables: readonly TableFacts[]
  /** Every column of the synced tables. */
  readonly columns: readonly ColumnFacts[]
  /** Triggers of the synced tables, and of the outbox as `sync.queue`. */
  readonly triggers: readonly TriggerFacts[]
  /** Functions of schema sync, with the MD5 of their bodies (LF ends). */
  readonly functions: readonly { readonly name: string; readonly md5: string }[]
  /** What gives a table's new keys: `increment` of the sequence behind the key's default; null: none. */
  readonly keys: readonly { readonly table: string; readonly column: string; readonly increment: number | null }[]
  readonly publications: readonly { readonly name: string; readonly tables: readonly string[] }[]
  /** Supabase's own, from its dashboard. */
  readonly webhooks: readonly WebhookTrigger[]
  readonly pgNet: PgNetFacts
  readonly settings: SettingsFacts | null
  readonly outbox: OutboxFacts | null
  readonly lostEdits: number | null
  /** `clinic`: the highest version of the clinic's that was applied. `own`: the latest queue id handed out. */
  readonly versions: { readonly clinic: bigint; readonly own: bigint } | null
}

export interface ServerFacts {
  /** Whether what we ask and it answers is encrypted (TLS) on its way. */
  readonly encrypted: boolean
  /** `server_version_num`, such as 150004. */
  readonly version: number
  readonly database: string
  readonly role: string
  /** As which the services' functions read and write: their owner; where they are not there, the role itself. */
  readonly writer: string
  /** The role may read or write some table itself: of this portal's, or of schema sync. */
  readonly hasTables: boolean
  readonly readOnly: boolean
  /** Whether schema sync is there, and whether the role may use it. */
  readonly schema: 'missing' | 'forbidden' | 'usable'
  readonly replicationRole: string
  /** Roles whose sessions begin with session_replication_role = replica: triggers stay silent there. */
  readonly replicaRoles: readonly string[]
}
export interface TableFacts {
  readonly name: string
  readonly rowSecurity: boolean
  /** A policy stops this role, or would where there is none. */
  readonly rowSecurityStopsUs: boolean
  readonly forced: boolean
  readonly owned: boolean
  /** Of SELECT, INSERT, UPDATE and DELETE. */
  readonly missingRights: readonly string[]
  /** Rows come in by a subscription. */
  readonly subscribed: boolean
}
export interface ColumnFacts {
  readonly table: string
  readonly name: string
  /** As format_type prints it, such as `character varying(255)`. */
  readonly type: string
  /** Not null, without a default: whoever inserts must give it. */
  readonly required: boolean
}
export interface TriggerFacts {
  readonly table: string
  readonly name: string
  /** O: on, A: always on, R: on for replicas only, D: off. */
  readonly enabled: string
}
export interface PgNetFacts {
  readonly installed: boolean
  /** Its latest answers, newest first; null where they cannot be read. `status` null: no answer came. */
  readonly answers: readonly { readonly status: number | null; readonly secondsAgo: number }[] | null
}
export interface SettingsFacts {
  readonly webhookUrl: string | null
  /** `known`: one of those that the ingress has. */
  readonly webhookKey: 'missing' | 'known' | 'other'
}
export interface OutboxFacts {
  readonly counts: ReadonlyMap<string, number>
  /** Seconds; null: nothing is pending. */
  readonly oldestPending: number | null
}

export interface InspectPortalOptions {
  readonly url: string
  /** Whether a header is the secret that the ingress wants: it does not leave this package. */
  readonly isSecret: (text: string) => boolean
  /** The ingress's own, whsec_…, with which a setting is compared. */
  readonly keys: readonly string[]
}

/** SQLSTATEs of what is not there, or not for this role. */
const UNSEEN = new Set(['42501', '42P01', '3F000', '42883', '42703'])

/**
 * Looks at the portal as the sync's own role, which need not be a superuser: reads catalogs and schema sync, and writes nothing.
 *
 * @throws DatabaseError where it cannot be reached
 */
export async function inspectPortal({ url, isSecret, keys }: InspectPortalOptions): Promise<PortalFacts> {
  let encrypted = false
  const database = openPool(url, { info: () => undefined, warn: () => undefined }, (is) => (encrypted = is))
  const tables = [[...TABLE_NAMES]]
  try {
    const login = { ...toServer(await database.query(ask.SERVER)), encrypted }
    const clock = await readClock(database)
    const owns = await asOwner(database)
    const server = { ...login, writer: owns?.get('owner')?.[0]?.name ?? login.role }
    const own = (key: string, query: string) => owns?.get(key) ?? seen(database, query)
    const migrations = await own('migrations', ask.MIGRATIONS)
    const settings = await own('settings', ask.SETTINGS)
    const queue = await own('outbox', ask.OUTBOX)
    const lost = await own('lostEdits', ask.LOST_EDITS)
    const versions = await own('versions', ask.VERSIONS)
    const answers = await seen(database, ask.ANSWERS)
    const publications = new Map<string, string[]>()
    for (const { publication, name } of await database.query(ask.PUBLICATIONS, tables))
      publications.set(text(publication), [...(publications.get(text(publication)) ?? []), text(name)])
    return {
      server,
      clock,
      migrations: migrations && new Map(migrations.map(({ name, checksum }) => [text(name), text(checksum)])),
      tables: (owns?.get('tables') ?? (await database.query(ask.TABLES, tables))).map(toTable),
      columns: (await database.query(ask.COLUMNS, tables)).map((row) => ({
        table: text(row.table),
        name: text(row.name),
        type: text(row.type),
        required: row.required === 't',
      })),
      triggers: (await database.query(ask.TRIGGERS, tables)).map((row) => ({
        table: text(row.table),
        name: text(row.name),
        enabled: text(row.enabled),
      })),
      functions: (await database.query(ask.FUNCTIONS)).map(({ name, md5 }) => ({ name: text(name), md5: text(md5) })),
      keys: (await database.query(ask.KEYS, tables)).map(({ table, name, increment }) => ({
        table: text(table),
        column: text(name),
        increment: increment === null ? null : Number(increment),
      })),
      publications: [...publications].map(([name, names]) => ({ name, tables: names })),
      webhooks: (await database.query(ask.WEBHOOKS, tables)).map((row) => toWebhook(row, isSecret)),
      pgNet: {
        installed: (await database.query(ask.PG_NET)).length > 0,
        answers:
          answers?.map(({ status, seconds }) => ({
            status: status === null ? null : Number(status),
            secondsAgo: Number(seconds),
          })) ?? null,
      },
      settings: settings && toSettings(settings, keys),
      outbox: queue && {
        counts: new Map(queue.map(({ status, n }) => [text(status), Number(n)])),
        oldestPending: toNumber(queue.find(({ status }) => status === 'Pending')?.oldest),
      },
      lostEdits: lost && Number(lost[0]?.n),
      versions: versions && { clinic: BigInt(text(versions[0]?.clinic)), own: BigInt(text(versions[0]?.own)) },
    }
  } finally {
    // Not waited for: a server that hangs would hang the caller too.
    database.close().catch(() => undefined)
  }
}

/** The portal's latest queue id alone: asked again where a comparison with the clinic looked wrong. @throws DatabaseError */
export async function inspectPortalVersions(url: string): Promise<PortalFacts['versions']> {
  const database = openPool(url, { info: () => undefined, warn: () => undefined })
  try {
    const rows = (await asOwner(database))?.get('versions') ?? (await seen(database, ask.VERSIONS))
    return rows && { clinic: BigInt(text(rows[0]?.clinic)), own: BigInt(text(rows[0]?.own)) }
  } finally {
    // Not waited for: a server that hangs would hang the caller too.
    database.close().catch(() => undefined)
  }
}

type Row = Readonly<Record<string, string | null>>

const text = (value: string | null | undefined) => value ?? ''
const sha256 = (value: string) => createHash('sha256').update(value).digest('hex')
const toNumber = (value: string | null | undefined) => (value === null || value === undefined ? null : Number(value))

/** What `sync.inspect` tells, by its key: the services' login may read no table, and their functions run as the owner. Null: it is not there. */
async function asOwner(database: Database): Promise<ReadonlyMap<string, Row[]> | null> {
  const rows = await seen(database, 'SELECT sync.inspect($1) AS found', [[...TABLE_NAMES]])
  return rows && new Map(Object.entries(JSON.parse(text(rows[0]?.found)) as Record<string, Row[]>))
}

async function seen(database: Database, query: string, values?: unknown[]): Promise<Row[] | null> {
  try {
    return await database.query(query, values)
  } catch (error) {
    if (error instanceof DatabaseError && UNSEEN.has(error.number ?? '')) return null
    throw error
  }
}

async function readClock(database: Database): Promise<PortalFacts['clock']> {
  const sent = Date.now()
  const [row] = await database.query(ask.CLOCK)
  return { sent, server: Number(row?.now), received: Date.now() }
}

function toServer([row]: readonly Row[]): Omit<ServerFacts, 'encrypted' | 'writer'> {
  if (row === undefined) throw new DatabaseError('down', "the portal's database did not answer")
  return {
    version: Number(row.version),
    database: text(row.database),
    role: text(row.role),
    hasTables: row.has_tables === 't',
    readOnly: row.read_only === 'on',
    schema: text(row.schema) as ServerFacts['schema'],
    replicationRole: text(row.replication_role),
    replicaRoles: text(row.replica_roles)
      .split(',')
      .filter((name) => name !== ''),
  }
}

const toTable = (row: Row): TableFacts => ({
  name: text(row.name),
  rowSecurity: row.row_security === 't',
  rowSecurityStopsUs: row.stops_us === 't',
  forced: row.forced === 't',
  owned: row.owned === 't',
  missingRights: text(row.missing_rights)
    .split(',')
    .filter((name) => name !== ''),
  subscribed: row.subscribed === 't',
})

/** `sync.inspect` gives the key's SHA-256, the table itself the key. */
function toSettings(rows: readonly Row[], keys: readonly string[]): SettingsFacts {
  const value = (name: string) => rows.find((row) => row.name === name)?.value?.trim() || null
  const key = value('WebhookKey')
  const known = (given: string) => keys.some((each) => each === given || `sha256:${sha256(each)}` === given)
  return { webhookUrl: value('WebhookURL'), webhookKey: key === null ? 'missing' : known(key) ? 'known' : 'other' }
}
