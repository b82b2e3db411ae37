import { migrate, useDoorbell } from '@clinic-sync/cli'
import { openScriptConnection } from '@clinic-sync/clinic'
import type { Crew } from './crew.ts'
import type { Stage } from './stage.ts'

/** How both sides ring. */
export const MODES = {
  /** As installed. */
  default: { clinic: 'service-broker', portal: 'listen' },
  /** As the original did: SQL Server and Supabase call by HTTP. */
  http: { clinic: 'ole-automation', portal: 'webhook' },
  /** The clinic rings as installed, and nobody listens, on neither side: what is queued waits until the operator rings. */
  'by hand': { clinic: 'http', portal: 'webhook' },
} as const
export type Mode = keyof typeof MODES

/** Everything up, with these doorbells. Only the ingress is started again, and only if it has others. */
export async function inMode({ crew, addresses }: Stage, mode: Mode): Promise<void> {
  const { clinic, portal } = MODES[mode]
  const settings = { CLINIC_DOORBELL: clinic, PORTAL_DOORBELL: portal }
  if (!crew.runs('ingress', settings)) {
    await crew.stop('ingress')
    await rings(addresses.clinic, clinic === 'http' ? 'service-broker' : clinic, crew)
  }
  await crew.startAll(settings)
}

/** Has the clinic's database ring like this, as an operator has it. */
async function rings(url: string, doorbell: 'service-broker' | 'ole-automation', crew: Crew): Promise<void> {
  await migrate({ side: 'clinic', url, doorbell })
  const connection = openScriptConnection(url)
  try {
    await useDoorbell(connection, { doorbell, ingressUrl: await crew.addressOf('ingress'), secret: crew.secret })
  } finally {
    await connection.close()
  }
}
