import { type BrokerFacts, inspectBroker } from '@clinic-sync/broker'
import type { PortalFacts } from '@clinic-sync/portal'
import type { Environment, Settings } from '@clinic-sync/runtime'
import type { SyncError } from '@clinic-sync/sync'
import { type MigrationFile, migrationFiles } from '../migrate/files.ts'
import { asSetHere } from './as-set-here.ts'
import { bounded, type Bounded, PATIENCE_MS } from '@clinic-sync/operations'
import { brokerChecks, unreachable as brokerUnreachable } from './broker/index.ts'
import { type Area, AREAS, type Check, isConsequence } from './check.ts'
import { askClinic, type ClinicFacts } from './clinic/facts.ts'
import { clinicChecks } from './clinic/index.ts'
import { unreachable as clinicUnreachable } from './clinic/server.ts'
import { clinicDoorbellChecks } from './doorbells/clinic.ts'
import { heardCheck } from './doorbells/heard.ts'
import { portalDoorbellChecks } from './doorbells/portal.ts'
import { brokerEncryption, clinicEncryption, portalEncryption } from './encryption.ts'
import { askIngress, type IngressFacts } from './ingress/facts.ts'
import { ingressChecks, unreachable as ingressUnreachable } from './ingress/index.ts'
import { askPortal } from './portal/facts.ts'
import { portalChecks } from './portal/index.ts'
import { unreachable as portalUnreachable } from './portal/server.ts'
import { restoredChecks } from './restored.ts'
import { settingsChecks } from './settings.ts'

export interface Diagnosis {
  /** Nothing fails; warnings may be there. */
  readonly ok: boolean
  readonly checks: readonly Check[]
}

/** What each area answered; null: a setting is missing, and it was not asked. */
interface Answers {
  readonly clinic: Bounded<ClinicFacts> | null
  readonly portal: Bounded<PortalFacts> | null
  readonly broker: Bounded<BrokerFacts> | null
  readonly ingress: Bounded<IngressFacts> | null
}

/**
 * Looks at everything that the sync needs, all areas at once, each for 10 s at most, and writes nothing that syncs: it reads,
 * and rings the doorbells.
 *
 * @param areas only these: where the services do not run yet, the databases' part. Without the ingress no doorbell is rung.
 */
export async function doctor(
  environment: Environment,
  patienceMs = PATIENCE_MS,
  areas: readonly Area[] = AREAS,
): Promise<Diagnosis> {
  const { settings, checks } = settingsChecks(environment)
  const [answers, clinicFiles, portalFiles] = await Promise.all([
    ask(settings, patienceMs, new Set(areas)),
    migrationFiles('clinic'),
    migrationFiles('portal'),
  ])
  const all = [
    ...checks,
    // Our image sets it.
    ...examine(settings, answers, { clinic: clinicFiles, portal: portalFiles }, Boolean(environment.SYNC_COMMAND)),
    ...(await restored(settings, answers, patienceMs)),
  ]
  const ordered = AREAS.flatMap((area) => all.filter((check) => check.area === area)).map((check) =>
    asSetHere(check, environment),
  )
  return { ok: ordered.every(({ status }) => status !== 'fail'), checks: ordered }
}

async function ask(settings: Partial<Settings>, patienceMs: number, areas: ReadonlySet<Area>): Promise<Answers> {
  const { SQLSERVER_URL, CLINIC_TIME_ZONE, POSTGRES_URL, RABBITMQ_URL, INGRESS_URL } = settings
  const [clinic, portal, broker, ingress] = await Promise.all([
    SQLSERVER_URL === undefined || CLINIC_TIME_ZONE === undefined
      ? null
      : bounded('SQL Server', () => askClinic({ SQLSERVER_URL, CLINIC_TIME_ZONE }), patienceMs),
    POSTGRES_URL === undefined ? null : bounded('Postgres', () => askPortal({ ...settings, POSTGRES_URL }), patienceMs),
    RABBITMQ_URL === undefined || !areas.has('broker')
      ? null
      : bounded('RabbitMQ', () => inspectBroker({ url: RABBITMQ_URL }), patienceMs),
    INGRESS_URL === undefined || !areas.has('ingress')
      ? null
      : bounded('The ingress', () => askIngress({ ...settings, INGRESS_URL }), patienceMs),
  ])
  return { clinic, portal, broker, ingress }
}

function examine(
  settings: Partial<Settings>,
  { clinic, portal, broker, ingress }: Answers,
  files: { readonly clinic: readonly MigrationFile[]; readonly portal: readonly MigrationFile[] },
  inDocker: boolean,
): Check[] {
  const { CLINIC_TIME_ZONE, CLINIC_DOORBELL, PORTAL_DOORBELL } = settings
  const INGRESS_URL = settings.DOORBELL_URL || settings.INGRESS_URL
  const { SQLSERVER_URL, POSTGRES_URL, RABBITMQ_URL } = settings
  const heard = ingress !== null && 'facts' in ingress ? ingress.facts.doorbells : null
  const checks: Check[] = []
  if (clinic !== null && 'error' in clinic) checks.push(because(clinic.error, clinicUnreachable))
  else if (clinic !== null && CLINIC_TIME_ZONE !== undefined) {
    const { facts } = clinic
    checks.push(
      ...clinicChecks(facts, {
        settings: { CLINIC_TIME_ZONE, ...(CLINIC_DOORBELL && { CLINIC_DOORBELL }) },
        files: files.clinic,
      }),
    )
    if (SQLSERVER_URL !== undefined) checks.push(clinicEncryption(SQLSERVER_URL))
    if (CLINIC_DOORBELL !== undefined && INGRESS_URL !== undefined)
      checks.push(...clinicDoorbellChecks(facts, { CLINIC_DOORBELL, INGRESS_URL }, heard?.clinic?.heard === true))
  }
  if (portal !== null && 'error' in portal) checks.push(because(portal.error, portalUnreachable))
  else if (portal !== null) {
    checks.push(...portalChecks(portal.facts, files.portal))
    if (POSTGRES_URL !== undefined) checks.push(portalEncryption(POSTGRES_URL, portal.facts.server.encrypted))
    if (PORTAL_DOORBELL !== undefined) checks.push(...portalDoorbellChecks(portal.facts, { PORTAL_DOORBELL }))
  }
  if (broker !== null)
    checks.push(...('error' in broker ? [because(broker.error, brokerUnreachable)] : brokerChecks(broker.facts)))
  if (broker !== null && 'facts' in broker && RABBITMQ_URL !== undefined)
    checks.push(brokerEncryption(RABBITMQ_URL, inDocker))
  if (ingress !== null)
    checks.push(...('error' in ingress ? [because(ingress.error, ingressUnreachable)] : ingressChecks(ingress.facts)))
  const explained = (side: 'clinic' | 'portal') =>
    checks.some(
      (check) =>
        check.status === 'fail' &&
        !isConsequence(check) &&
        // Who leads among the ingresses hears the doorbells, and without RabbitMQ nobody leads.
        (check.area === side || check.area === 'broker' || check.id.startsWith(`doorbells.${side}.`)),
    )
  // A database that we cannot reach ourselves has its one fail already.
  if (heard?.clinic !== undefined && CLINIC_DOORBELL !== undefined && clinic !== null && 'facts' in clinic)
    checks.push(...heardCheck('clinic', heard.clinic, CLINIC_DOORBELL, explained('clinic')))
  if (heard?.portal !== undefined && PORTAL_DOORBELL !== undefined && portal !== null && 'facts' in portal)
    checks.push(...heardCheck('portal', heard.portal, PORTAL_DOORBELL, explained('portal')))
  return checks
}

/** An area's one failure. What its own judge would advise cures no defect of ours. */
function because(error: SyncError, unreachable: (error: SyncError) => Check): Check {
  const check = unreachable(error)
  return error.code === 'SYNC_UNFORESEEN' ? { ...check, todo: error.advice } : check
}

/** Where both databases can be asked. */
async function restored(
  { SQLSERVER_URL, CLINIC_TIME_ZONE, POSTGRES_URL }: Partial<Settings>,
  { clinic, portal }: Answers,
  patienceMs: number,
): Promise<Check[]> {
  if (clinic === null || portal === null || 'error' in clinic || 'error' in portal) return []
  if (SQLSERVER_URL === undefined || CLINIC_TIME_ZONE === undefined || POSTGRES_URL === undefined) return []
  return restoredChecks({ SQLSERVER_URL, CLINIC_TIME_ZONE, POSTGRES_URL }, patienceMs)
}
