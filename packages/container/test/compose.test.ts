import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'

// `docker compose config` says whether Docker understands the files; this says whether they keep what they promise.

interface Service {
  readonly image?: string
  readonly user?: string
  readonly profiles?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly secrets?: readonly string[]
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly command?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly [key: string]: unknown
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const textOf = (name: string) => readFileSync(join(ROOT, name), 'utf8')
const read = (name: string) => parse(textOf(name), { merge: true }) as Compose
const base = read('docker-compose.yml')
const cluster = read('compose.cluster.yml')
/** Every service that is described as a whole: what the cluster's file only adds to has no image there. */
const whole = Object.entries({ ...base.services, ...pick(cluster.services, (service) => service.image !== undefined) })
const SERVICES = ['ingress', 'ingress-2', 'sql-to-postgres', 'postgres-to-sql']
/** The demo's databases bring images that write where they like; nothing of a clinic is in them. */
const isDemoDatabase = (name: string) => name.startsWith('demo-')

t.test('every container is confined, limited, and has its log rotated', async (t) => {
  for (const [name, service] of whole) {
    if (name !== 'demo-sqlserver')
      t.match(service, { cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] }, `${name}: no capability`)
    t.match(String(service.mem_limit), /^\d+[mg]$/, `${name}: memory`)
    t.type(service.pids_limit, 'number', `${name}: processes`)
    t.match(service.logging, { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '5' } }, `${name}: log`)
    if (!isDemoDatabase(name)) t.equal(service.read_only, true, `${name}: read-only`)
    t.notOk(service.privileged, `${name}: not privileged`)
    t.notMatch(String(service.volumes), /docker\.sock/, `${name}: no hold on Docker`)
    if (name === 'init') continue
    t.notOk(service.cap_add, `${name}: no capability is given back`)
    t.not(service.user, 'root', `${name}: not root`)
  }
  t.strictSame(base.services.init?.cap_add, ['CHOWN', 'DAC_OVERRIDE', 'FOWNER'], 'init gives its files to their owner')
  t.strictSame(base.services.init?.secrets, undefined, 'and is given no secret')
})

t.test('what stays is restarted, and what runs once is not', async (t) => {
  for (const name of ['rabbitmq', ...SERVICES])
    t.equal(byName(name).restart, 'unless-stopped', `${name} comes back with the host`)
  for (const name of ['migrate', 'sync', 'init', 'demo']) t.equal(byName(name).restart, 'no', name)
  for (const name of SERVICES) {
    const { depends_on: after = {}, stop_grace_period: grace, command = [] } = byName(name)
    t.equal(after.migrate?.condition, 'service_completed_successfully', `${name} waits for the databases`)
    t.equal(after.rabbitmq?.condition, 'service_healthy', `${name} waits for RabbitMQ`)
    t.equal(grace, '30s', `${name} may finish what is in flight, which takes 25 s at most`)
    // V8 would take the host's memory for its own.
    t.match(command[0], /^--max-old-space-size=\d+$/, `${name}: V8 knows its limit`)
    t.equal(command[1], '--max-semi-space-size=8', `${name}: and keeps what is young in the processor's cache`)
  }
  t.notOk(byName('sync').depends_on, 'a command starts nothing')
})

t.test(
  'only the ingress and the management UI are reached from outside, and from this host alone unless told',
  async (t) => {
    const published = whole.filter(([, service]) => service.ports)
    t.strictSame(
      published.map(([name, { ports }]) => [name, ports]),
      [
        ['rabbitmq', ['127.0.0.1:${RABBITMQ_UI_PORT:-15672}:15672']],
        ['ingress', ['${INGRESS_BIND:-127.0.0.1}:${INGRESS_PORT:-3000}:3000']],
        ['ingress-2', ['${INGRESS_BIND:-127.0.0.1}:${INGRESS_2_PORT:-3001}:3000']],
      ],
    )
    for (const { ports } of Object.values(pick(cluster.services, ({ image }) => image === undefined))) t.notOk(ports)
    for (const [name, service] of whole) t.notOk(service.network_mode, `${name} is in a network of its own`)
  },
)

t.test('secrets come from files, to those who need them, and are in no environment and no command', async (t) => {
  for (const [name, { environment = {}, command, entrypoint, secrets = [] }] of whole) {
    for (const [setting, value] of Object.entries(environment)) {
      const where = `${name}: ${setting}`
      if (setting.endsWith('_FILE')) t.ok(secrets.includes(value.replace('/run/secrets/', '')), `${where} is mounted`)
      else if (!isDemoDatabase(name)) t.notMatch(`${setting}=${value}`, /:\/\/[^/]*@|PASS|TOKEN|SECRET=|_KEYS=/, where)
    }
    if (!isDemoDatabase(name)) t.notMatch(String([command, entrypoint]), /:\/\/[^/]*@/, `${name}: no URL with a login`)
  }
  const files = (name: string) => [...(byName(name).secrets ?? [])].sort()
  t.strictSame(files('sql-to-postgres'), ['postgres_url', 'rabbitmq_url_sql_to_postgres'])
  t.strictSame(files('postgres-to-sql'), ['rabbitmq_url_postgres_to_sql', 'sqlserver_url'])
  t.strictSame(files('rabbitmq'), ['rabbitmq_definitions.json'])
  const ingress = [
    'alert_webhook_url',
    'operator_token',
    'postgres_url',
    'rabbitmq_url_ingress',
    'sqlserver_url',
    'webhook_keys',
  ]
  for (const name of ['ingress', 'ingress-2']) t.strictSame(files(name), [...ingress, 'webhook_secret'])
})

t.test('both ingresses are the same', async (t) => {
  for (const key of ['environment', 'command', 'volumes', 'secrets', 'mem_limit', 'pids_limit', 'tmpfs'])
    t.strictSame(byName('ingress-2')[key], byName('ingress')[key], key)
})

t.test('without .env all is the demo’s, and every file is there', async (t) => {
  for (const name of ['docker-compose.yml', 'compose.cluster.yml'])
    for (const [found] of textOf(name).matchAll(/\$\{[^}]*\}/g))
      t.match(found, /^\$\{[A-Z_0-9]+:-[^$]*\}$/, `${name}: ${found} has a default that Compose 1.29 reads too`)
  for (const [name, { file }] of Object.entries({ ...base.secrets, ...cluster.secrets })) {
    const path = join(ROOT, file.replace(/^\$\{\w+:-([^}]+)\}/, '$1'))
    t.ok(existsSync(path), `${name} is there`)
    // A container's user is another than the host's.
    t.ok(((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o004) !== 0, `${name} can be read`)
  }
  for (const { volumes = [] } of [...Object.values(base.services), ...Object.values(cluster.services)])
    for (const [, path = ''] of volumes.map((volume) => /^(\.\/[^:]+):/.exec(volume) ?? []))
      t.ok(path === '' || existsSync(join(ROOT, path)), path)
})

t.test('the build sees no secret', async (t) => {
  const lines = textOf('.dockerignore').split('\n')
  t.ok(lines.includes('*'), 'what is not named is left out')
  t.notMatch(String(lines.filter((line) => line.startsWith('!'))), /env|secret|deploy|^!\.$/)
  const dockerfile = textOf('Dockerfile')
  t.notMatch(dockerfile, /^\s*(ARG|ENV)\s.*(PASS|TOKEN|SECRET|_URL)/im)
  t.match(dockerfile, /^USER 10001:10001$/m)
  t.match(dockerfile, /^HEALTHCHECK /m)
})

function byName(name: string): Service {
  const service = Object.fromEntries(whole)[name]
  if (service === undefined) throw new Error(`there is no ${name}`)
  return service
}

function pick(services: Compose['services'], wanted: (service: Service) => boolean): Compose['services'] {
  return Object.fromEntries(Object.entries(services).filter(([, service]) => wanted(service)))
}
