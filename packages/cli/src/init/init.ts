import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Environment } from '@clinic-sync/runtime'
import {
  fromContainers,
  isThisHost,
  passwordOf,
  portalServiceUser,
  userOf,
  withLogin,
  withParameters,
} from './addresses.ts'
import type { Prompter } from './ask.ts'
import { BROKER_CERTIFICATE, type BrokerAddress, brokerAddress, brokerSecrets } from './broker.ts'
import { brokerLines, chooseDoorbell, CLINIC_CERTIFICATE, clinicLines, reachClinic, type Reached } from './clinic.ts'
import type { ClinicSeen } from './clinic-facts.ts'
import { doorbellAddress } from './doorbell-address.ts'
import { envText, type PlainSettings } from './env-file.ts'
import { SECRETS, type Secrets } from './layout.ts'
import type { InitOptions, Passwords } from './options.ts'
import { PORTAL_CERTIFICATE, portalLines, reachPortal } from './portal.ts'
import type { PortalSeen } from './portal-facts.ts'
import { readPrevious } from './previous.ts'
import { openScratch, type Scratch } from './scratch.ts'
import { newPassword, newSecret } from './secrets.ts'
import { refusal, type Session } from './session.ts'
import { chooseTimeZone } from './time-zone.ts'
import { choosePortalDoorbell, type PortalDoorbell } from './webhooks.ts'
import { writeFiles } from './write.ts'
import { finish } from './finish.ts'

export interface InitCommand {
  readonly options: InitOptions
  readonly passwords: Passwords
  /** Where `.env` and `secrets` belong. */
  readonly folder: string
  /** Null: nobody answers. */
  readonly ask: Prompter | null
  readonly say: (line: string) => void
  readonly inContainer: boolean
  /** Default 15 s. */
  readonly patienceMs?: number
  /** For the doctor at the end: colour, and what the settings do not say. */
  readonly environment: Environment
  readonly colour: boolean
}

/** What was found and chosen, before anything is written. */
export interface Plan {
  readonly run: 'docker' | 'node'
  readonly clinic: Reached<ClinicSeen>
  readonly portal: Reached<PortalSeen>
  readonly portalDoorbell: PortalDoorbell
  readonly plain: PlainSettings
  readonly secrets: Secrets
  /** The services' logins, as they are reached from here: certificates by absolute paths. */
  readonly services: { readonly clinic: string; readonly portal: string }
  readonly rabbitmq: BrokerAddress
  /** What an earlier run had made, and what therefore was on a screen before. */
  readonly kept: { readonly webhookSecret: boolean; readonly clinicLogin: boolean; readonly portalLogin: boolean }
}

/**
 * Asks for the two databases, tries each, writes `.env` and `secrets`, installs or says what to run, and looks at the result.
 *
 * @returns whether nothing is left to do but to start the services.
 * @throws SyncError SYNC_USAGE where an answer is missing or will not do: nothing is written then.
 */
export async function init(command: InitCommand): Promise<boolean> {
  const { options, passwords, folder, ask, say, inContainer, patienceMs = 15_000 } = command
  const previous = readPrevious(folder)
  const session: Session = { options, passwords, previous, ask, say, inContainer, patienceMs }
  await mayReplace(session, folder)
  const scratch = openScratch(folder)
  try {
    const plan = await gather(session, scratch)
    const { clinic, portal, plain, secrets } = plan
    const certificates = new Map<string, string>()
    if (clinic.pem !== null) certificates.set(CLINIC_CERTIFICATE, clinic.pem)
    if (portal.pem !== null) certificates.set(PORTAL_CERTIFICATE, portal.pem)
    if (plan.rabbitmq.pem !== null) certificates.set(BROKER_CERTIFICATE, plan.rabbitmq.pem)
    const { copies } = writeFiles(folder, { env: envText(plain, previous), secrets, certificates })
    say('')
    say(`Written: .env and the folder ${SECRETS}.${copies === null ? '' : ` What was there before is in ${copies}.`}`)
    return await finish(session, plan, command)
  } finally {
    scratch.close()
  }
}

/** @throws SyncError where there are settings already and nobody has said that they may go. */
async function mayReplace({ previous, options, ask }: Session, folder: string): Promise<void> {
  if (options.overwrite === true || !(previous.exists || existsSync(join(folder, SECRETS, 'sqlserver_url')))) return
  if (ask === null)
    throw refusal(
      `There is a .env in ${resolve(folder)} already: --overwrite writes it anew, keeps its generated secrets, and copies what was there to ${SECRETS}/before-…`,
    )
  const yes = await ask.confirm(
    'There is a .env already. Write it anew? Its generated secrets stay, and a copy is kept.',
    false,
  )
  if (!yes) throw refusal('The .env stays as it is')
}

async function gather(session: Session, scratch: Scratch): Promise<Plan> {
  const { options, previous, ask, say, inContainer } = session
  const run =
    options.run ??
    (inContainer
      ? 'docker'
      : ask === null
        ? 'node'
        : await ask.choose<'docker' | 'node'>('Where shall the services run?', [
            { value: 'docker', name: 'in Docker, on this machine', description: 'docker compose up; brings RabbitMQ' },
            { value: 'node', name: 'in Node, on this machine', description: 'RabbitMQ is yours' },
          ]))
  const clinic = await reachClinic(session, scratch, run)
  for (const line of clinicLines(clinic.seen)) say(line)
  const zone = await chooseTimeZone(session, clinic.seen.offsetMinutes)
  const doorbell = await chooseDoorbell(session, clinic.seen)
  for (const line of brokerLines(clinic.seen, doorbell)) say(line)
  const portBefore = previous.lines.get('INGRESS_PORT') || '3000'
  const port = options.port ?? portBefore
  const calls = await doorbellAddress(session, doorbell, clinic.url, port)
  say('')
  const portal = await reachPortal(session, scratch, run)
  for (const line of portalLines(portal.seen, portal.url)) say(line)
  const portalDoorbell = await choosePortalDoorbell(session)
  const rabbitmq = await brokerAddress(session, scratch, run)

  const isNew = options.newSecrets === true
  const kept = (text: string | undefined, holds: (text: string) => boolean): string | undefined =>
    text === undefined || isNew || !holds(text) ? undefined : text
  /** The password that an earlier run had made for this login. */
  const login = (before: string | undefined, user: string): string | undefined =>
    before !== undefined && URL.canParse(before) && userOf(before) === user
      ? passwordOf(before) || undefined
      : undefined
  const portalUser = portalServiceUser(portal.url, options.login)
  // Where the login that was given is the services' own, it has its password.
  const clinicPassword =
    login(clinic.url, options.login) ?? kept(login(previous.secret('sqlserver_url'), options.login), () => true)
  const portalPassword =
    login(portal.url, portalUser) ?? kept(login(previous.secret('postgres_url'), portalUser), () => true)
  const webhookSecret = kept(previous.secret('webhook_secret'), (text) => text.length >= 16)
  const operatorToken = kept(previous.secret('operator_token'), (text) => text.length >= 16 && !/\s/.test(text))

  const services = {
    // A Windows account's domain is not for a SQL login.
    clinic: withParameters(withLogin(clinic.url, options.login, clinicPassword ?? newPassword()), { domain: null }),
    portal: withLogin(portal.url, portalUser, portalPassword ?? newPassword()),
  }
  return {
    run,
    clinic,
    portal,
    portalDoorbell,
    rabbitmq,
    services,
    kept: {
      webhookSecret: webhookSecret !== undefined,
      clinicLogin: clinicPassword !== undefined,
      portalLogin: portalPassword !== undefined,
    },
    plain: {
      CLINIC_TIME_ZONE: zone,
      CLINIC_DOORBELL: doorbell,
      PORTAL_DOORBELL: portalDoorbell.doorbell,
      INGRESS_HOST: calls.listen === '0.0.0.0' ? calls.listen : previous.lines.get('INGRESS_HOST') || '127.0.0.1',
      INGRESS_PORT: port,
      INGRESS_URL: (port === portBefore && previous.lines.get('INGRESS_URL')) || `http://127.0.0.1:${port}`,
      DOORBELL_URL: calls.url,
      INGRESS_BIND: calls.listen,
    },
    secrets: {
      sqlserver_url: clinicWritten(services.clinic, run),
      sqlserver_admin_url: clinicWritten(clinic.url, run),
      postgres_url: portalWritten(services.portal, run),
      postgres_admin_url: portalWritten(portal.url, run),
      ...brokerSecrets(session, rabbitmq.url),
      webhook_secret: webhookSecret ?? newSecret(),
      webhook_keys: kept(previous.secret('webhook_keys'), () => true) ?? '',
      operator_token: operatorToken ?? newSecret(),
      alert_webhook_url: kept(previous.secret('alert_webhook_url'), () => true) ?? '',
    },
  }
}

/** As the services use it: the certificate by its place among the secrets, this machine by the name that a container knows. */
function clinicWritten(url: string, run: 'docker' | 'node'): string {
  const certified = new URL(url).searchParams.has('ca') ? withParameters(url, { ca: `ca/${CLINIC_CERTIFICATE}` }) : url
  if (run === 'node' || !isThisHost(certified)) return certified
  // What goes to this very machine meets nobody on the way, and no certificate is for the name that Docker gives it.
  return withParameters(fromContainers(certified), {
    trustServerCertificate: 'true',
    ca: null,
    hostNameInCertificate: null,
  })
}

function portalWritten(url: string, run: 'docker' | 'node'): string {
  const certified = new URL(url).searchParams.has('sslrootcert')
    ? withParameters(url, { sslrootcert: `ca/${PORTAL_CERTIFICATE}` })
    : url
  if (run === 'node' || !isThisHost(certified)) return certified
  return withParameters(fromContainers(certified), { sslmode: 'disable', sslrootcert: null })
}
