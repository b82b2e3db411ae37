import { callsByHttp } from '../doorbell/use.ts'
import type { ClinicDoorbell } from '../migrate/choose.ts'
import { isThisHost } from './addresses.ts'
import { refusal, type Session } from './session.ts'

/** Where SQL Server finds the ingress, and at which of this machine's addresses that has to listen therefore. */
export interface DoorbellAddress {
  /** '': nobody calls. */
  readonly url: string
  readonly listen: string
}

/**
 * Asks where SQL Server finds the ingress, for the doorbells that call it by HTTP.
 *
 * @param clinic the SQL Server's address.
 * @param port of the ingress, on this machine.
 * @throws SyncError SYNC_USAGE where nobody says it, and SQL Server is another machine
 */
export async function doorbellAddress(
  { options, previous, ask, say }: Session,
  doorbell: ClinicDoorbell,
  clinic: string,
  port: string,
): Promise<DoorbellAddress> {
  const before = previous.lines.get('DOORBELL_URL')
  const listen = previous.lines.get('INGRESS_BIND') || '127.0.0.1'
  if (!callsByHttp(doorbell)) return { url: before ?? '', listen }
  const isHere = isThisHost(clinic)
  const check = (text: string): string | null =>
    doorbell === 'rest-endpoint' && !text.startsWith('https://')
      ? 'rest-endpoint calls https:// addresses only: give that of a proxy with TLS before the ingress.'
      : /^https?:\/\/[^\s/?#]+/.test(text) && URL.canParse(text)
        ? null
        : `It is an address such as http://192.168.0.10:${port}.`
  const guess = before || (isHere && doorbell === 'ole-automation' ? `http://127.0.0.1:${port}` : undefined)
  const url =
    options.doorbellUrl ??
    (ask === null ? guess : await ask.text('The ingress’s address, as SQL Server’s machine sees it', guess, check))
  const wrong = url === undefined ? 'it is missing' : check(url)
  if (url === undefined || wrong !== null) throw refusal(`--doorbell-url will not do: ${wrong}`)
  if (isHere || url.startsWith('https://')) return { url, listen }
  say(
    `  ! The ingress will listen at all addresses of this machine: let the firewall pass port ${port} from SQL Server only.`,
  )
  return { url, listen: '0.0.0.0' }
}
