import { existsSync } from 'node:fs'
import { arch, cpus, platform, release, totalmem } from 'node:os'
import { inspectBroker } from '@clinic-sync/broker'
import { bounded, type Bounded } from '@clinic-sync/operations'
import { askClinic } from '../doctor/clinic/facts.ts'
import { askPortal } from '../doctor/portal/facts.ts'
import { migrationFiles } from '../migrate/files.ts'
import { type Missing, json, needed, type Part, reasonOf, type Sources } from './part.ts'

/** Of sync.Inspect: what the server is, and how it is set. No login, no text that people have written. */
const CLINIC_FACTS =
  /^(EngineVersion|Edition|EngineEdition|Platform|CompatibilityLevel|IsBrokerEnabled|IsReadCommittedSnapshot|Collation|ServerCollation|NestedTriggers|OleAutomation|RestEndpoint|Doorbell)$/

/** What runs here, and what each server says that it is; the migrations that each database has had. */
export const versionsPart = (own: string): Part => ({
  what: 'versions.json',
  patienceMs: 25_000,
  async collect(sources) {
    const [clinic, portal, broker, files] = await Promise.all([
      bounded('SQL Server', () => clinicVersion(sources)),
      bounded('Postgres', () => portalVersion(sources)),
      bounded('RabbitMQ', async () => {
        const { version } = await inspectBroker({ url: needed(sources.settings, 'RABBITMQ_URL').RABBITMQ_URL })
        return { version }
      }),
      migrationsHere(),
    ])
    const missing: Missing[] = []
    const of = <T>(what: string, found: Bounded<T>) => {
      if ('facts' in found) return found.facts
      missing.push({ what, why: reasonOf(found.error) })
      return { missing: reasonOf(found.error) }
    }
    const all = {
      clinicSync: own,
      node: process.version,
      system: { platform: platform(), release: release(), arch: arch() },
      processors: cpus().length,
      memoryMb: Math.round(totalmem() / 1e6),
      container: existsSync('/.dockerenv') || Boolean(sources.environment.SYNC_COMMAND),
      sqlServer: of("SQL Server's version and migrations", clinic),
      postgres: of("Postgres' version and migrations", portal),
      rabbitMq: of("RabbitMQ's version", broker),
      migrationsHere: files,
    }
    const about =
      'versions of clinic-sync, Node, the system and the three servers; the migrations that each database has had'
    return { entries: [{ path: 'versions.json', about, text: json(all) }], missing }
  },
})

async function clinicVersion({ settings }: Sources) {
  const facts = await askClinic(needed(settings, 'SQLSERVER_URL', 'CLINIC_TIME_ZONE'))
  const told = facts.all('').filter(([name]) => CLINIC_FACTS.test(name))
  return { ...Object.fromEntries(told), migrations: Object.fromEntries(facts.all('migration:')) }
}

async function portalVersion({ settings }: Sources) {
  const { server, migrations, pgNet, keys } = await askPortal({ ...settings, ...needed(settings, 'POSTGRES_URL') })
  const { version, encrypted, readOnly, schema, replicationRole } = server
  return {
    version,
    encrypted,
    readOnly,
    schema,
    replicationRole,
    pgNet: pgNet.installed,
    keys,
    migrations: migrations && Object.fromEntries(migrations),
  }
}

async function migrationsHere() {
  const [clinic, portal] = await Promise.all([migrationFiles('clinic'), migrationFiles('portal')])
  const names = (files: typeof clinic) => Object.fromEntries(files.map(({ name, checksum }) => [name, checksum]))
  return { clinic: names(clinic), portal: names(portal) }
}
