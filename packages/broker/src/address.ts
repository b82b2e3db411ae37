import { readTlsFile, SyncError, trustedCertificates } from '@clinic-sync/sync'
import { credentials } from 'amqplib'

/**
 * RabbitMQ and we send something at least twice in this time, and each gives the other up after two of them without a byte: within
 * 24 s, also where TCP's keepalive is still answered by something in between.
 */
const HEARTBEAT_SECONDS = 8

/** What amqplib is given to connect: the URL, and what its socket is made with, the login among it. */
export interface BrokerAddress {
  readonly url: string
  readonly tls: Readonly<Record<string, unknown>>
}

/**
 * Reads RABBITMQ_URL. With amqps:// the certificate is always checked, its name included. `cacertfile` is a file of certificates to
 * trust in place of Node's authorities; `certfile` and `keyfile` are our own, for a server that wants one: RabbitMQ's own names
 * (https://www.rabbitmq.com/docs/uri-query-parameters). A heartbeat in the URL wins over ours.
 *
 * @throws SyncError SYNC_CONFIG that says what is wrong without repeating the URL, which holds a password
 */
export function brokerAddress(text: string): BrokerAddress {
  if (!URL.canParse(text)) throw new SyncError('SYNC_CONFIG', 'RABBITMQ_URL is not a URL')
  const url = new URL(text)
  if (url.protocol !== 'amqp:' && url.protocol !== 'amqps:')
    throw new SyncError('SYNC_CONFIG', 'RABBITMQ_URL must begin with amqp:// or amqps://')
  const take = (name: string) => {
    const value = url.searchParams.get(name) || undefined
    url.searchParams.delete(name)
    return value
  }
  const [ca, cert, key, verify] = [take('cacertfile'), take('certfile'), take('keyfile'), take('verify')]
  if (verify !== undefined && verify !== 'verify_peer')
    throw wrong('its verify is not verify_peer, and the certificate is always checked; cacertfile names one to trust')
  if (url.protocol === 'amqp:' && [ca, cert, key].some((each) => each !== undefined))
    throw wrong('it names a certificate, and amqp:// does not encrypt; write amqps://')
  if ((cert === undefined) !== (key === undefined))
    throw wrong('certfile and keyfile belong together, and one is missing')
  if (!url.searchParams.has('heartbeat')) url.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS))
  const [user, password] = [decoded(url.username), decoded(url.password)]
  const setting = 'RABBITMQ_URL'
  const { all: _, ...trusted } =
    ca === undefined ? { all: [] } : trustedCertificates({ setting, parameter: 'cacertfile' }, ca)
  return {
    url: url.href,
    tls: {
      ...trusted,
      // amqplib takes what is percent-encoded for Latin-1: no password with an ü in it would ever be right.
      ...(user !== '' && { credentials: credentials.plain(user, password) }),
      ...(cert !== undefined &&
        key !== undefined && {
          cert: readTlsFile({ setting, parameter: 'certfile' }, cert),
          key: readTlsFile({ setting, parameter: 'keyfile' }, key),
        }),
    },
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw wrong('its user or password has a % that is not a percent-encoding; write a plain % as %25')
  }
}

const wrong = (what: string) => new SyncError('SYNC_CONFIG', `RABBITMQ_URL cannot be used: ${what}.`)
