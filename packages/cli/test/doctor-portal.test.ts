import { allColumns, tables, TABLE_NAMES } from '@clinic-sync/mapping'
import type { PortalFacts } from '@clinic-sync/portal'
import { DatabaseError } from '@clinic-sync/sync'
import t, { type Test } from 'tap'
import type { Check } from '../src/doctor/check.ts'
import { portalDoorbellChecks } from '../src/doctor/doorbells/portal.ts'
import { shippedFunctions } from '../src/doctor/portal/capture.ts'
import { portalChecks } from '../src/doctor/portal/index.ts'
import { fits } from '../src/doctor/portal/schema.ts'
import { unreachable } from '../src/doctor/portal/server.ts'
import { migrationFiles } from '../src/migrate/files.ts'

// What each check says of what the portal tells: well, worth a warning, wrong. Nothing is asked of a database here.
const files = await migrationFiles('portal')
const functions = [...shippedFunctions(files)]
const CAPTURE = ['00_sync_capture', '00_sync_capture_update', '00_sync_capture_truncate']
const AS_PRINTED: Readonly<Record<string, string>> = { timestamptz: 'timestamp with time zone' }
const printed = (type: string) => AS_PRINTED[type] ?? type.replace('varchar', 'character varying')

/** A portal in which all is well. */
const WELL: PortalFacts = {
  server: {
    encrypted: true,
    version: 150_004,
    database: 'postgres',
    role: 'clinic_sync_service',
    writer: 'postgres',
    hasTables: false,
    readOnly: false,
    schema: 'usable',
    replicationRole: 'origin',
    replicaRoles: [],
  },
  clock: { sent: 1_000, server: 1_010, received: 1_020 },
  migrations: new Map(files.map(({ name, checksum }) => [name, checksum])),
  tables: TABLE_NAMES.map((name) => ({
    name,
    rowSecurity: true,
    rowSecurityStopsUs: false,
    forced: false,
    owned: true,
    missingRights: [],
    subscribed: false,
  })),
  columns: tables.flatMap((table) =>
    allColumns(table).map(({ name, portalType }) => ({
      table: table.name,
      name,
      type: printed(portalType),
      required: true,
    })),
  ),
  triggers: [
    ...['aligner_notes', 'aligner_batches'].flatMap((table) => CAPTURE.map((name) => ({ table, name, enabled: 'O' }))),
    ...['ring_listeners', 'ring_webhook'].map((name) => ({ table: 'sync.queue', name, enabled: 'O' })),
  ],
  functions: functions.map(([name, { md5 }]) => ({ name, md5 })),
  keys: [{ table: 'aligner_notes', column: 'note_id', increment: -1 }],
  publications: [],
  webhooks: [],
  pgNet: { installed: false, answers: null },
  settings: { webhookUrl: null, webhookKey: 'missing' },
  outbox: { counts: new Map([['Synced', 4]]), oldestPending: null },
  lostEdits: 0,
  versions: { clinic: 12n, own: 3n },
}
const look = (changes: Partial<PortalFacts> = {}) => portalChecks({ ...WELL, ...changes }, files)
const server = (changes: Partial<PortalFacts['server']>) => look({ server: { ...WELL.server, ...changes } })
const table = (name: string, changes: Partial<PortalFacts['tables'][number]>) =>
  look({ tables: WELL.tables.map((each) => (each.name === name ? { ...each, ...changes } : each)) })
const column = (name: string, change: (column: PortalFacts['columns'][number]) => PortalFacts['columns']) =>
  look({ columns: WELL.columns.flatMap((each) => (`${each.table}.${each.name}` === name ? change(each) : [each])) })
const trigger = (name: string, enabled: string | null, where = 'aligner_notes') =>
  WELL.triggers.flatMap((each) =>
    each.table !== where || each.name !== name ? [each] : enabled === null ? [] : [{ ...each, enabled }],
  )

function only(t: Test, checks: readonly Check[], expected: Partial<Record<keyof Check, string | RegExp>>) {
  const wrong = checks.filter(({ status }) => status !== 'ok')
  t.equal(wrong.length, 1, `one: ${wrong.map(({ id }) => id).join()}`)
  t.match(wrong[0], expected)
  t.ok(wrong[0]?.todo)
}
const well = (t: Test, checks: readonly Check[]) =>
  t.same(
    checks.filter(({ status }) => status !== 'ok'),
    [],
  )

t.test('a portal in which all is well', async (t) => {
  const checks = look()
  well(t, checks)
  t.equal(new Set(checks.map(({ id }) => id)).size, checks.length, 'each id once')
  t.ok(functions.length > 10, 'the bodies of the files are found')
  const notes = look({ publications: [{ name: 'supabase_realtime', tables: ['aligner_notes'] }], lostEdits: 2 })
  well(t, notes)
  t.equal(notes.length, checks.length + 2)
  const withoutTables = new Map([...(WELL.migrations ?? [])].filter(([name]) => !name.startsWith('00_')))
  well(t, look({ migrations: withoutTables }))
})

t.test('server, role and clock', async (t) => {
  only(t, server({ version: 130_011 }), { id: 'portal.version', found: 'Postgres 13.11' })
  only(t, server({ readOnly: true }), { id: 'portal.writable' })
  only(t, table('work', { rowSecurityStopsUs: true, forced: true }), {
    id: 'portal.policies',
    todo: 'ALTER TABLE public.work NO FORCE ROW LEVEL SECURITY;',
  })
  only(t, table('work', { rowSecurityStopsUs: true, owned: false }), { todo: /^ALTER ROLE postgres BYPASSRLS;/ })
  only(t, table('work', { missingRights: ['INSERT', 'DELETE'] }), {
    found: 'work: no INSERT, DELETE',
    todo: 'GRANT SELECT, INSERT, UPDATE, DELETE ON public.work TO postgres;',
  })
  only(t, look({ clock: { sent: 1_000, server: 7_020, received: 1_020 } }), {
    status: 'warn',
    found: /^it is 6 s ahead/,
  })
  only(t, look({ clock: { sent: 400_000, server: 1_000, received: 400_020 } }), {
    status: 'fail',
    found: /399 s behind/,
  })
  const forbidden = look({
    server: { ...WELL.server, schema: 'forbidden' },
    migrations: null,
    settings: null,
    outbox: null,
    lostEdits: null,
    versions: null,
  })
  only(t, forbidden, { id: 'portal.schema', found: /Left out/ })
})

t.test('migrations and functions', async (t) => {
  const without = new Map([...(WELL.migrations ?? [])].filter(([name]) => !/^0[456]/.test(name)))
  only(
    t,
    look({
      migrations: without,
      triggers: [],
      functions: WELL.functions.filter(({ name }) => !/capture|ring|resume|send_anew/.test(name)),
    }),
    {
      id: 'portal.migrations',
      found: 'missing: 04_sync_capture.sql, 05_portal_doorbells.sql, 06_after_restore.sql',
      todo: 'npm run sync -- migrate portal',
    },
  )
  only(
    t,
    look({ functions: WELL.functions.map((each) => (each.name === 'capture_edit' ? { ...each, md5: 'x' } : each)) }),
    {
      id: 'portal.functions',
      found: 'sync.capture_edit is not as shipped',
      todo: /04_sync_capture\.sql/,
    },
  )
  only(t, look({ functions: WELL.functions.filter(({ name }) => name !== 'take_changes') }), {
    found: 'sync.take_changes is gone',
    todo: /03_sync_outbox\.sql/,
  })
  const none = look({
    server: { ...WELL.server, schema: 'missing' },
    migrations: null,
    triggers: [],
    functions: [],
    outbox: null,
  })
  only(t, none, { id: 'portal.migrations', found: /01_sync_schema\.sql/ })
})

t.test('tables and columns', async (t) => {
  only(t, look({ tables: WELL.tables.filter(({ name }) => name !== 'work') }), {
    id: 'portal.tables',
    found: /no table work/,
  })
  only(
    t,
    column('aligner_sets.set_cost', () => []),
    {
      id: 'portal.columns.aligner_sets',
      todo: 'ALTER TABLE public.aligner_sets ADD COLUMN set_cost numeric(10,2);',
    },
  )
  only(
    t,
    column('aligner_notes.created_at', (each) => [{ ...each, type: 'timestamp without time zone' }]),
    {
      status: 'fail',
      found: /without time zone/,
    },
  )
  only(
    t,
    column('patients.phone', (each) => [{ ...each, type: 'character varying(20)' }]),
    { status: 'warn', found: /dead letter/ },
  )
  only(
    t,
    column('patients.phone', (each) => [each, { ...each, name: 'clinic_id' }]),
    {
      id: 'portal.required.patients',
      todo: 'ALTER TABLE public.patients ALTER COLUMN clinic_id DROP NOT NULL;',
    },
  )
  only(t, table('work', { rowSecurity: false }), {
    status: 'warn',
    todo: 'ALTER TABLE public.work ENABLE ROW LEVEL SECURITY;',
  })
  only(t, look({ keys: [{ table: 'aligner_notes', column: 'note_id', increment: 1 }] }), {
    id: 'portal.keys.aligner_notes',
    status: 'fail',
  })
  for (const [portalType, type, fit] of [
    ['numeric(10,2)', 'numeric', 'fits'],
    ['numeric(10,2)', 'numeric(12,2)', 'fits'],
    ['numeric(10,2)', 'numeric(8,2)', 'narrow'],
    ['numeric(10,2)', 'numeric(10,0)', 'wrong'],
    ['numeric(10,2)', 'double precision', 'wrong'],
  ] as const)
    t.equal(fits({ type: 'decimal', portalType } as Parameters<typeof fits>[0], type), fit, type)
})

t.test('capture', async (t) => {
  only(t, look({ triggers: trigger('00_sync_capture_update', 'D') }), {
    status: 'fail',
    found: /switched off/,
    todo: 'ALTER TABLE public.aligner_notes ENABLE TRIGGER "00_sync_capture_update";',
  })
  only(t, look({ triggers: trigger('00_sync_capture', 'R') }), { found: /replicas only/ })
  only(t, look({ triggers: trigger('00_sync_capture', null) }), { found: /is gone/ })
  well(t, look({ triggers: trigger('00_sync_capture', 'A') }))
  only(t, server({ replicaRoles: ['loader'] }), { todo: 'ALTER ROLE "loader" RESET session_replication_role;' })
  only(t, table('aligner_notes', { subscribed: true }), { id: 'portal.subscriptions', status: 'warn' })
})

t.test('outbox', async (t) => {
  only(t, look({ outbox: { counts: new Map([['Failed', 1]]), oldestPending: null } }), {
    status: 'warn',
    todo: /^SELECT .* FROM sync\.queue/,
  })
  only(t, look({ outbox: { counts: new Map([['Pending', 1]]), oldestPending: 700 } }), {
    status: 'fail',
    todo: /restart it/,
  })
})

t.test('a portal that does not answer', async (t) => {
  const failure = (number: string) => unreachable(new DatabaseError('down', 'It failed', { number }))
  t.match(failure('ECONNREFUSED'), { id: 'portal.reachable', status: 'fail', found: /Left out/, todo: /host and port/ })
  t.match(failure('28P01').todo, /password/)
  t.match(failure('3D000').todo, /database/)
  const tls = ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'SELF_SIGNED_CERT_IN_CHAIN', 'CERT_HAS_EXPIRED']
  for (const code of [...tls, 'ERR_TLS_CERT_ALTNAME_INVALID', 'ENOENT'])
    t.match(failure(code).todo, /sslrootcert=.* into POSTGRES_URL/, code)
  t.notMatch(failure('ENOTFOUND').todo, /ssl/)
  const none = new DatabaseError('down', 'cannot be reached: The server does not support SSL connections')
  t.match(unreachable(none).todo, /^Switch TLS on/)
})

t.test('doorbells', async (t) => {
  const bells = (chosen: 'listen' | 'webhook' | 'none', changes: Partial<PortalFacts> = {}) =>
    portalDoorbellChecks({ ...WELL, ...changes }, { PORTAL_DOORBELL: chosen })
  well(t, bells('listen'))
  only(t, bells('none'), { status: 'warn' })
  only(t, bells('listen', { triggers: trigger('ring_listeners', 'D', 'sync.queue') }), {
    todo: 'ALTER TABLE sync.queue ENABLE TRIGGER ring_listeners;',
  })
  const answers = (status: number | null) => ({ installed: true, answers: [{ status, secondsAgo: 3 }] })
  const own = (webhookUrl: string, webhookKey: 'known' | 'other' | 'missing' = 'known') => ({
    settings: { webhookUrl, webhookKey },
    pgNet: answers(202),
  })
  const URL = 'https://sync.example/api/sync/webhook'
  well(t, bells('webhook', own(URL)))
  only(t, bells('webhook', own('https://u:PLANTED@sync.example/webhook')), {
    id: 'doorbells.portal.webhook',
    found: /^(?!.*PLANTED).*sync\.example\/webhook/,
  })
  only(t, bells('webhook', own(URL, 'other')), { found: /none of SYNC_WEBHOOK_KEYS/ })
  only(t, bells('webhook', own(URL, 'missing')), { todo: /^INSERT INTO sync\.settings/ })
  only(t, bells('webhook', { ...own(URL), pgNet: { installed: false, answers: null } }), {
    todo: 'CREATE EXTENSION pg_net;',
  })
  only(t, bells('webhook', { ...own(URL), pgNet: answers(401) }), { status: 'warn', found: /401/ })

  const hook = (
    where: string,
    events: ('INSERT' | 'UPDATE')[],
    changes: Partial<PortalFacts['webhooks'][number]> = {},
  ) => ({
    table: where,
    name: `hook_${where}`,
    events,
    enabled: true,
    method: 'POST',
    url: URL,
    secret: 'ours' as const,
    ...changes,
  })
  const dashboard = (...webhooks: PortalFacts['webhooks'][number][]) =>
    bells('webhook', { webhooks, pgNet: answers(202) })
  const [notes, batches] = [hook('aligner_notes', ['INSERT', 'UPDATE']), hook('aligner_batches', ['UPDATE'])]
  well(t, dashboard(notes, batches))
  only(t, dashboard(notes), {
    id: 'doorbells.portal.webhook.aligner_batches',
    todo: /aligner_batches \(UPDATE\), POST/,
  })
  only(t, dashboard(hook('aligner_notes', ['UPDATE']), batches), { found: /INSERT is not told/ })
  only(t, dashboard(notes, hook('aligner_batches', ['UPDATE'], { secret: 'other' })), {
    found: /another secret than SYNC_WEBHOOK_SECRET/,
  })
  only(t, dashboard(notes, hook('aligner_batches', ['UPDATE'], { url: 'https://x/api' })), {
    found: /calls https:\/\/x\/api/,
  })
})
