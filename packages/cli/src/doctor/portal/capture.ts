import { createHash } from 'node:crypto'
import { syncsBack, tables } from '@clinic-sync/mapping'
import type { PortalFacts } from '@clinic-sync/portal'
import type { MigrationFile } from '../../migrate/files.ts'
import { type Check, checksOf, counted } from '../check.ts'
import { quoted } from './facts.ts'

const { ok, warn, fail } = checksOf('portal')

const CAPTURE_FILE = '04_sync_capture.sql'
const TRIGGERS = ['00_sync_capture', '00_sync_capture_update', '00_sync_capture_truncate']
const RERUN = (file: string) => `Run migrations/postgres/${file} in Supabase's SQL editor`
const CATCH_UP = 'what was changed meanwhile must be edited once more to travel'

/** Whether what captures doctors' edits is there, on, and as shipped. `applied`: files recorded as they are here. */
export function captureChecks(
  facts: PortalFacts,
  files: readonly MigrationFile[],
  applied: ReadonlySet<string>,
): Check[] {
  return [
    ...triggerChecks(facts, applied.has(CAPTURE_FILE)),
    ...functionChecks(facts, files, applied),
    ...replication(facts),
  ]
}

function triggerChecks(facts: PortalFacts, isApplied: boolean): Check[] {
  const back = tables.filter(syncsBack).filter(({ name }) => facts.tables.some((table) => table.name === name))
  const checks = back.flatMap(({ name: table }) =>
    TRIGGERS.flatMap((trigger) => {
      const state = facts.triggers.find((found) => found.table === table && found.name === trigger)?.enabled
      const word = `capture.${table}.${trigger}`
      const title = `Doctors' edits of ${table} are captured`
      if (state === 'O' || state === 'A') return []
      if (state !== undefined) {
        const how = state === 'R' ? 'on for replicas only' : 'switched off'
        const todo = `ALTER TABLE public.${table} ENABLE TRIGGER "${trigger}";`
        return [fail(word, title, `trigger "${trigger}" is ${how}: edits are not captured; ${CATCH_UP}`, todo)]
      }
      if (!isApplied) return []
      return [
        fail(word, title, `trigger "${trigger}" is gone, though its migration was applied`, `${RERUN(CAPTURE_FILE)}.`),
      ]
    }),
  )
  if (checks.length > 0 || !isApplied) return checks
  return [
    ok(
      'capture',
      "The triggers that capture doctors' edits",
      `${counted(back.length * TRIGGERS.length, 'trigger')}, all on`,
    ),
  ]
}

/** Function name → MD5 of the body that the last file defining it ships. */
export function shippedFunctions(files: readonly Pick<MigrationFile, 'name' | 'sql'>[]) {
  const shipped = new Map<string, { readonly md5: string; readonly file: string }>()
  const define = /^CREATE OR REPLACE FUNCTION sync\.(\w+)\([\s\S]*?\bAS (\$\w*\$)([\s\S]*?)\2/gm
  for (const { name: file, sql } of files)
    for (const [, name = '', , body = ''] of sql.matchAll(define))
      shipped.set(name, { md5: createHash('md5').update(body).digest('hex'), file })
  return shipped
}

function functionChecks(facts: PortalFacts, files: readonly MigrationFile[], applied: ReadonlySet<string>): Check[] {
  const shipped = [...shippedFunctions(files)].filter(([, { file }]) => applied.has(file))
  const wrong = shipped.flatMap(([name, { md5, file }]) => {
    const found = facts.functions.filter((each) => each.name === name)
    if (found.some((each) => each.md5 === md5)) return []
    return [{ name, file, how: found.length === 0 ? 'is gone' : 'is not as shipped' }]
  })
  const title = 'The functions of schema sync are as shipped'
  if (wrong.length === 0)
    return shipped.length === 0 ? [] : [ok('functions', title, counted(shipped.length, 'function'))]
  const again = [...new Set(wrong.map(({ file }) => file))].sort()
  return [
    fail(
      'functions',
      title,
      wrong.map(({ name, how }) => `sync.${name} ${how}`).join('; '),
      `${RERUN(again.join(', then '))}.`,
    ),
  ]
}

/** Sessions and subscriptions in which triggers are silent. */
function replication({ server, tables: found, triggers }: PortalFacts): Check[] {
  const checks: Check[] = []
  const title = 'No session silences the triggers'
  const { replicationRole, replicaRoles, role } = server
  if (replicationRole === 'replica' || replicaRoles.length > 0) {
    const who = replicaRoles.length > 0 ? replicaRoles : [role]
    const todo = who
      .map((name) => (name === 'everybody' ? `ALTER DATABASE ${quoted(server.database)} ` : `ALTER ROLE "${name}" `))
      .map((start) => `${start}RESET session_replication_role;`)
    checks.push(
      fail(
        'replication-role',
        title,
        `session_replication_role is replica for ${who.join(', ')}: edits are not captured`,
        todo.join(' '),
      ),
    )
  }
  const always = (table: string) =>
    TRIGGERS.slice(0, 2).every((name) =>
      triggers.some((found) => found.table === table && found.name === name && found.enabled === 'A'),
    )
  const subscribed = found.filter((table) => table.subscribed && !always(table.name)).map(({ name }) => name)
  if (subscribed.length > 0)
    checks.push(
      warn(
        'subscriptions',
        'No subscription writes the synced tables',
        `${subscribed.join(', ')}: rows that a subscription brings fire no triggers, and do not travel to the clinic`,
        `Take ${subscribed.length === 1 ? 'the table' : 'the tables'} out of the publication that the subscription follows.`,
      ),
    )
  return checks
}
