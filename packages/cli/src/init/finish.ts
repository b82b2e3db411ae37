import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SyncError } from '@clinic-sync/sync'
import { AREAS } from '../doctor/check.ts'
import { doctor } from '../doctor/doctor.ts'
import { report } from '../doctor/print.ts'
import { ingressAddress } from '../ingress-address.ts'
import { byHandLines } from './by-hand.ts'
import type { InitCommand, Plan } from './init.ts'
import { install } from './install.ts'
import { SECRETS } from './layout.ts'
import { copiesWith } from './write.ts'
import type { Session } from './session.ts'
import { webhookLines } from './webhooks.ts'

const ADMIN_FILES = ['sqlserver_admin_url', 'postgres_admin_url'] as const

/** What is done once the files are written. @returns whether nothing fails any more */
export async function finish(session: Session, plan: Plan, command: InitCommand): Promise<boolean> {
  const { say, options, ask } = session
  const { clinic, portal, portalDoorbell, secrets, kept } = plan
  const able = clinic.seen.mayInstall !== false && portal.seen.mayInstall
  const wanted =
    options.install ??
    (ask !== null &&
      able &&
      (await ask.confirm(
        `Install now? In ${clinic.seen.database}: schema sync, triggers, a login. In the portal the same.`,
        clinic.seen.original === null,
      )))
  let failed = false
  if (wanted) {
    const withPortalTables =
      options.withPortalTables ??
      (ask !== null &&
        portal.seen.isEmpty &&
        (await ask.confirm('The portal has no tables. Create them as well?', false)))
    const enableBroker =
      options.enableBroker ??
      (ask !== null &&
        plan.plain.CLINIC_DOORBELL === 'service-broker' &&
        clinic.seen.isBrokerOn === false &&
        (await ask.confirm(
          'Switch Service Broker on now? It ends every open transaction in the clinic’s database.',
          false,
        )))
    say('')
    say('Installing …')
    try {
      await install(session, plan, { withPortalTables, enableBroker })
      if (options.forgetAdmin === true) {
        for (const file of ADMIN_FILES) writeFileSync(join(command.folder, SECRETS, file), '')
        say(`  the logins that installed are forgotten: ${SECRETS}/${ADMIN_FILES.join(' and ')} are empty`)
        const copies = copiesWith(command.folder, ADMIN_FILES, /^\s*(SQLSERVER|POSTGRES)_ADMIN_URL\s*=\s*\S/m)
        if (copies.length > 0)
          say(`  ! Copies of earlier settings still have them: delete ${copies.join(', ')} when you need them no more.`)
      }
    } catch (error) {
      if (!(error instanceof SyncError)) throw error
      failed = true
      say(`  ✗ ${error.message}`)
      say(`    → ${error.advice}`)
    }
  } else for (const line of byHandLines(session, plan)) say(line)

  if (portalDoorbell.doorbell === 'webhook') {
    say('')
    const shown = kept.webhookSecret ? null : secrets.webhook_secret
    for (const line of webhookLines(portalDoorbell.publicUrl, shown, `${SECRETS}/webhook_secret`)) say(line)
  }

  say('')
  const diagnosis = await doctor(await environmentFor(plan), session.patienceMs, await areas(plan))
  for (const line of report(diagnosis, command.colour)) say(line)
  say('')
  for (const line of nextLines(plan, failed ? 'failed' : wanted ? 'installed' : 'by hand')) say(line)
  return diagnosis.ok && !failed
}

/** The settings as the services will have them, with the databases as they are reached from here. */
async function environmentFor({ plain, secrets, services, clinic, portal }: Plan): Promise<Record<string, string>> {
  return {
    ...plain,
    SQLSERVER_URL: services.clinic,
    SQLSERVER_ADMIN_URL: clinic.url,
    POSTGRES_URL: services.portal,
    POSTGRES_ADMIN_URL: portal.url,
    RABBITMQ_URL: secrets.rabbitmq_url,
    SYNC_WEBHOOK_SECRET: secrets.webhook_secret,
    SYNC_WEBHOOK_KEYS: secrets.webhook_keys,
    SYNC_OPERATOR_TOKEN: secrets.operator_token,
    ALERT_WEBHOOK_URL: secrets.alert_webhook_url,
  }
}

/** All, where an ingress runs already; else what can be looked at without one. */
async function areas({ plain }: Plan) {
  const runs = await fetch(ingressAddress(plain.INGRESS_URL, '/healthz'), { signal: AbortSignal.timeout(2_000) }).then(
    ({ ok }) => ok,
    () => false,
  )
  return runs ? AREAS : (['settings', 'clinic', 'portal', 'doorbells'] as const)
}

function nextLines({ run, clinic }: Plan, state: 'installed' | 'failed' | 'by hand'): string[] {
  // Until both sides have been compared, nothing of an original's outbox is sent.
  const takesOver = clinic.seen.original !== null
  const again = 'the installation once more, when that is cured'
  if (run === 'docker')
    return [
      'Next:',
      ...(state === 'failed' ? [`  docker compose run --rm init --overwrite --install     ${again}`] : []),
      ...(state === 'by hand' ? ['  what is said above; `up` does the first of it'] : []),
      '  docker compose up -d',
      ...(takesOver ? ['  docker compose run --rm sync take-over     docs/moving-over.md says when'] : []),
      '  docker compose run --rm sync doctor',
      '  docker compose run --rm sync backfill     once, to fill the portal',
      'After a change of secrets: docker compose up -d --force-recreate',
    ]
  return [
    'Next:',
    ...(state === 'failed' ? [`  npm run sync -- init --overwrite --install     ${again}`] : []),
    ...(state === 'by hand' ? ['  what is said above'] : []),
    ...(takesOver ? ['  npm run sync -- take-over     docs/moving-over.md says when'] : []),
    `  rabbitmqctl import_definitions ${SECRETS}/rabbitmq_definitions.json     on RabbitMQ's machine: its users and queues`,
    '  npm run build',
    '  Start the three services from this folder (README, Connect a real clinic), each with its own RabbitMQ login in its environment:',
    `    ingress            RABBITMQ_URL_FILE=${SECRETS}/rabbitmq_url_ingress`,
    `    sql-to-postgres    RABBITMQ_URL_FILE=${SECRETS}/rabbitmq_url_sql_to_postgres`,
    `    postgres-to-sql    RABBITMQ_URL_FILE=${SECRETS}/rabbitmq_url_postgres_to_sql`,
    '  npm run sync -- doctor',
    '  npm run sync -- backfill     once, to fill the portal',
  ]
}
