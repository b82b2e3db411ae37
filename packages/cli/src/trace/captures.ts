import type { Fault } from '@clinic-sync/operations'
import type { Environment } from '@clinic-sync/runtime'
import { readSettings } from '@clinic-sync/runtime'
import type { Check } from '../doctor/check.ts'
import { captureChecks as clinicCaptures, shippedTriggers } from '../doctor/clinic/capture.ts'
import { askClinic } from '../doctor/clinic/facts.ts'
import { captureChecks as portalCaptures } from '../doctor/portal/capture.ts'
import { askPortal } from '../doctor/portal/facts.ts'
import { migrationFiles } from '../migrate/files.ts'

const CAPTURE = '02_sync_capture.sql'

/** What the doctor finds wrong with the triggers on the clinic's and the portal's own tables. @throws SyncError */
export async function captureFaults(environment: Environment): Promise<Pick<Fault, 'what' | 'todo'>[]> {
  const settings = readSettings(['SQLSERVER_URL', 'POSTGRES_URL', 'CLINIC_TIME_ZONE'], environment)
  const [clinic, portal, clinicFiles, portalFiles] = await Promise.all([
    askClinic(settings),
    askPortal(settings),
    migrationFiles('clinic'),
    migrationFiles('portal'),
  ])
  const capture = clinicFiles.find(({ name }) => name === CAPTURE)
  const isApplied = capture !== undefined && clinic.get(`migration:${CAPTURE}`)?.trim() === capture.checksum
  const applied = new Set(
    portalFiles.filter(({ name, checksum }) => portal.migrations?.get(name) === checksum).map(({ name }) => name),
  )
  return [
    ...clinicCaptures(clinic, capture === undefined ? [] : shippedTriggers(capture), isApplied),
    ...portalCaptures(portal, portalFiles, applied),
  ].flatMap(faultOf)
}

const faultOf = ({ status, title, found, todo }: Check): Pick<Fault, 'what' | 'todo'>[] =>
  status === 'fail' ? [{ what: `${title}: ${found}.`, todo: todo ?? 'See `npm run sync -- doctor`.' }] : []
