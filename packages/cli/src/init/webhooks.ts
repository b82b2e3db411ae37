import { syncsBack, tables } from '@clinic-sync/mapping'
import { WEBHOOK_ROUTE } from '@clinic-sync/portal'
import { ingressAddress } from '../ingress-address.ts'
import { refusal, type Session } from './session.ts'

export interface PortalDoorbell {
  readonly doorbell: 'listen' | 'webhook' | 'none'
  /** Where Supabase finds the ingress; null: not needed, or not known yet. */
  readonly publicUrl: string | null
}

/** @throws SyncError where a flag will not do */
export async function choosePortalDoorbell({ options, previous, ask }: Session): Promise<PortalDoorbell> {
  const before = previous.lines.get('PORTAL_DOORBELL')
  const doorbell =
    options.portalDoorbell ??
    (ask === null
      ? before === 'webhook' || before === 'none'
        ? before
        : 'listen'
      : await ask.choose<PortalDoorbell['doorbell']>(
          'How shall the portal say that something changed?',
          [
            {
              value: 'listen',
              name: 'listen',
              description: 'the ingress listens on a connection: no public address is needed',
            },
            {
              value: 'webhook',
              name: 'webhook',
              description: 'Supabase calls the ingress: needs a public https:// address (a tunnel)',
            },
            { value: 'none', name: 'none', description: 'nobody rings: by hand, and at the start' },
          ],
          before === 'webhook' || before === 'none' ? before : 'listen',
        ))
  if (doorbell !== 'webhook') return { doorbell, publicUrl: null }
  const check = (text: string) =>
    /^https:\/\/[^\s/?#]+/.test(text) && URL.canParse(text) ? null : 'It begins with https://.'
  if (options.publicUrl !== undefined) {
    if (check(options.publicUrl) !== null) throw refusal('--public-url must be an https:// address')
    return { doorbell, publicUrl: options.publicUrl }
  }
  if (ask === null) return { doorbell, publicUrl: null }
  return { doorbell, publicUrl: await ask.text('The ingress’s public address', undefined, check) }
}

/**
 * What to enter in Supabase's dashboard, line by line.
 *
 * @param secret the header's value, where it may be shown; null: it was on a screen before.
 */
export function webhookLines(publicUrl: string | null, secret: string | null, file: string): string[] {
  const url = ingressAddress(publicUrl ?? 'https://<the ingress’s public address>', WEBHOOK_ROUTE)
  const synced = tables.filter(syncsBack)
  return [
    "In Supabase's dashboard: Database → Webhooks (Integrations → Database Webhooks) → Create a new hook, once for each of these:",
    ...synced.flatMap(({ name, portalInserts }) => [
      '',
      `  Name            clinic_sync_${name}`,
      `  Table           ${name}   (schema public)`,
      `  Events          ${portalInserts ? 'Insert, Update' : 'Update'}`,
      '  Type            HTTP Request',
      '  Method          POST',
      `  URL             ${url}`,
      '  HTTP header     x-sync-secret   (its value is below)',
    ]),
    '',
    secret === null ? `  x-sync-secret   as before: it is in ${file}` : `  x-sync-secret   ${secret}`,
    '',
    '  Content-type: application/json stays. No other table: the ingress answers 422 to it.',
  ]
}
