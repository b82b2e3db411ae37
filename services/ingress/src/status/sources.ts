import type { Broker } from '@clinic-sync/broker'
import type { IngressPart, LeaderFacts, Reachable, Side } from '@clinic-sync/contracts'
import { openDeadLetterLook, type StatusSources, type VerifyPorts } from '@clinic-sync/operations'
import type { Operable, Verifications } from '@clinic-sync/sync'
import type { KnownState } from '../known-state.ts'
import type { ClinicDoorbell, PortalDoorbell } from '../start-lines.ts'
import type { Changes } from './changes.ts'
import type { Verifying } from './verifying.ts'

/** What a status needs beyond the ingress. */
export interface StatusOptions {
  readonly clinic: Pick<Operable, 'outboxStatus'> & VerifyPorts['clinic']
  readonly portal: Pick<Operable, 'outboxStatus'> & VerifyPorts['portal'] & Verifications
  readonly broker: Pick<Broker, 'queueDepths'>
  readonly rabbitmqUrl: string
}

/** What is asked of the ingress itself. */
export interface StatusSelf {
  readonly state: Pick<KnownState, 'read' | 'reason'>
  readonly changes: Pick<Changes, 'lastRang'>
  readonly verifying: Pick<Verifying, 'part'>
  readonly leads: () => boolean
  readonly leader: () => Promise<LeaderFacts | null>
  /** Why alerts do not arrive; null: they do, or there are none. */
  readonly alerts?: (() => string | null) | undefined
  readonly doorbells: { readonly clinic: ClinicDoorbell; readonly portal: PortalDoorbell }
}

export function statusSources(options: StatusOptions, self: StatusSelf): StatusSources {
  const { clinic, portal, broker, rabbitmqUrl } = options
  const startedAt = new Date().toISOString()
  return {
    clinic,
    portal,
    queueDepths: () => broker.queueDepths(),
    deadLetters: openDeadLetterLook(rabbitmqUrl),
    verification: () => self.verifying.part(),
    ingress: async () => ingressPart(self, startedAt),
  }
}

const BY_ITSELF: ReadonlySet<string> = new Set(['service-broker', 'listen'])

async function ingressPart(self: StatusSelf, startedAt: string): Promise<Reachable<IngressPart>> {
  const { state, changes, leads, leader, doorbells } = self
  const leading = leads()
  const bell = (side: Side) => {
    const doorbell = doorbells[side]
    const reason = state.reason(`${side}-doorbell`)
    const isHeardHere = leading && BY_ITSELF.has(doorbell)
    return { doorbell, heard: isHeardHere ? reason === null : null, reason, lastRang: changes.lastRang(side) }
  }
  const { checks } = state.read()
  // Not among the checks: what cannot tell of the sync does not keep it from working.
  const alerts = self.alerts?.() ?? null
  return {
    reachable: true,
    lead: leading ? 'leads' : state.reason('lead') === null ? 'standby' : 'connecting',
    leader: await leader(),
    startedAt,
    doorbells: { clinic: bell('clinic'), portal: bell('portal') },
    lacks: [
      ...Object.keys(checks).flatMap((name) => {
        const reason = state.reason(name)
        return reason === null ? [] : [{ name, reason }]
      }),
      ...(alerts === null ? [] : [{ name: 'alerts', reason: alerts }]),
    ],
  }
}
