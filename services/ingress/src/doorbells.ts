import type { Side } from '@clinic-sync/contracts'
import type { IngressOptions } from './ingress-options.ts'
import type { ClinicDoorbell, PortalDoorbell } from './start-lines.ts'
import { RINGS_BEFORE_COMMIT } from './term.ts'

const RINGS_BY_HTTP: ReadonlySet<ClinicDoorbell | PortalDoorbell> = new Set([
  ...RINGS_BEFORE_COMMIT,
  'webhook',
] as const)

export const doorbellOf = (
  side: Side,
  { clinicDoorbell, portalDoorbell }: Pick<IngressOptions, 'clinicDoorbell' | 'portalDoorbell'>,
): ClinicDoorbell | PortalDoorbell => (side === 'clinic' ? clinicDoorbell : portalDoorbell)

export const ringsByHttp = (doorbell: ClinicDoorbell | PortalDoorbell): boolean => RINGS_BY_HTTP.has(doorbell)

/** Whether it is heard on a connection of its own. */
export const ringsByItself = (doorbell: ClinicDoorbell | PortalDoorbell): boolean =>
  !ringsByHttp(doorbell) && doorbell !== 'none'

/** A side's doorbell in /readyz. */
export const bellOf = (side: Side): string => `${side}-doorbell`
