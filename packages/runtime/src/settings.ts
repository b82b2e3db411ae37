import { parseWebhookKeys } from '@clinic-sync/contracts'
import { isIP } from 'node:net'

/** One setting, as `.env.example` explains it. */
export interface Setting<T extends string | number = string | number> {
  /** Its value from its text; undefined for what is none. */
  readonly read: (text: string) => T | undefined
  /** Completes "<NAME> must be …". */
  readonly expected: string
  /** Without it, the setting is required. */
  readonly fallback?: T
  /** May also be given as the path of a file, in `<NAME>_FILE`. Its value is never shown. */
  readonly secret: boolean
  readonly url: boolean
  /** The URL's parameters that name files: see `readSettings`. */
  readonly files?: readonly string[]
  /** All values that there are. */
  readonly choices?: readonly T[]
}

const textThat = (holds: (text: string) => boolean) => (text: string) => (holds(text) ? text : undefined)
const like = (pattern: RegExp) => textThat((text) => pattern.test(text))
const anyText = like(/./s)

const plain = <T extends string | number>(read: Setting<T>['read'], expected: string, fallback: T) => ({
  read,
  expected,
  fallback,
  secret: false,
  url: false,
})
const oneOf = <const T extends string>(choices: readonly T[], fallback: T) => ({
  ...plain((text) => choices.find((choice) => choice === text), `one of ${choices.join(', ')}`, fallback),
  choices,
})
const secret = (read: Setting<string>['read'], expected: string) => ({ read, expected, secret: true, url: false })
/** The pattern catches another scheme; that it is a URL at all (a port, say, that is a number) is checked besides. */
const address = (files: readonly string[], expected: string, ...schemes: string[]) => ({
  ...secret(like(new RegExp(`^(${schemes.join('|')})://[^\\s/?#]+`)), expected),
  url: true,
  files,
})
const webAddress = (fallback: string) => ({
  ...plain(like(/^https?:\/\/[^\s/?#]+/), 'an address such as http://127.0.0.1:3000', fallback),
  url: true,
})
const CLINIC_FILES = ['ca']
const PORTAL_FILES = ['sslrootcert', 'sslcert', 'sslkey']
const BROKER_FILES = ['cacertfile', 'certfile', 'keyfile']

const port = (text: string) => (/^\d{1,9}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined)
/** 16 characters cannot be guessed; an empty or default-looking secret would be. */
const key = textThat(({ length }) => length >= 16 && length <= 512)

/**
 * The proxies of INGRESS_TRUST_PROXY: addresses, networks, or `loopback`, `linklocal`, `uniquelocal` (RFC 4193 and 1918).
 *
 * @returns null where one of them is none of these: to trust everybody would let everybody choose an address
 */
export function parseProxies(text: string): readonly string[] | null {
  const all = text.split(/[\s,]+/).filter((each) => each !== '')
  const isProxy = (each: string): boolean => {
    if (['loopback', 'linklocal', 'uniquelocal'].includes(each)) return true
    const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(each) ?? []
    const version = isIP(address)
    const width = Number(bits ?? 1)
    return version !== 0 && width >= 1 && width <= (version === 4 ? 32 : 128)
  }
  return all.every(isProxy) ? all : null
}

/** The addresses of HEALTH_URLS. @returns null where one of them is none, or holds more than scheme, host, port and path */
export function parseAddresses(text: string): readonly string[] | null {
  const all = text.split(/[\s,]+/).filter((each) => each !== '')
  const isAddress = (each: string) => /^https?:\/\/[^\s/?#@]+(\/[^?#]*)?$/.test(each) && URL.canParse(each)
  return all.every(isAddress) ? all : null
}

/** Every setting of every service, by the name of its environment variable. */
export const SETTINGS = {
  SQLSERVER_URL: address(CLINIC_FILES, 'mssql://user:password@host:port/database', 'mssql'),
  /** '' where SQLSERVER_URL's login may do everything itself. */
  SQLSERVER_ADMIN_URL: {
    ...address(CLINIC_FILES, 'mssql://user:password@host:port/database', 'mssql'),
    fallback: '',
  },
  POSTGRES_URL: address(PORTAL_FILES, 'postgres://user:password@host:port/database', 'postgres', 'postgresql'),
  /** '' where POSTGRES_URL's login owns the portal's tables. */
  POSTGRES_ADMIN_URL: {
    ...address(PORTAL_FILES, 'postgres://user:password@host:port/database', 'postgres', 'postgresql'),
    fallback: '',
  },
  RABBITMQ_URL: address(BROKER_FILES, 'amqp://user:password@host:port/vhost, or amqps://', 'amqp', 'amqps'),
  CLINIC_TIME_ZONE: plain(anyText, 'a time zone such as Asia/Baghdad', 'Asia/Baghdad'),
  SYNC_WEBHOOK_SECRET: secret(key, 'at least 16 characters'),
  /** '' for none; else read it with `parseWebhookKeys`. */
  SYNC_WEBHOOK_KEYS: {
    ...secret(
      textThat((text) => parseWebhookKeys(text) !== null),
      'one or two keys, each of them whsec_ and the base64 of 24 to 64 bytes',
    ),
    fallback: '',
  },
  SYNC_OPERATOR_TOKEN: secret(key, 'at least 16 characters'),
  INGRESS_HOST: plain(anyText, 'an address to listen at', '127.0.0.1'),
  INGRESS_PORT: plain(port, 'a whole number from 0 to 65535', 3000),
  /** '' for none; else read it with `parseProxies`. */
  INGRESS_TRUST_PROXY: plain(
    textThat((text) => parseProxies(text) !== null),
    'addresses of proxies, such as loopback or 172.16.0.0/12, with commas between them',
    '',
  ),
  INGRESS_URL: webAddress('http://127.0.0.1:3000'),
  /** '' where SQL Server finds the ingress at INGRESS_URL too. */
  DOORBELL_URL: webAddress(''),
  /** '' for none. */
  ALERT_WEBHOOK_URL: {
    ...secret(
      like(/^https?:\/\/[^\s/?#@]+([/?#]\S*)?$/),
      'an address such as https://hooks.slack.com/services/…, without user and password',
    ),
    url: true,
    fallback: '',
  },
  HEALTH_HOST: plain(anyText, 'an address to listen at', '127.0.0.1'),
  HEALTH_PORT: plain(port, 'a whole number from 0 to 65535', 0),
  /** '' for none; else read it with `parseAddresses`. */
  HEALTH_URLS: plain(
    textThat((text) => parseAddresses(text) !== null),
    'addresses of services, such as http://127.0.0.1:3001, with commas between them',
    '',
  ),
  LOG_LEVEL: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info'),
  CLINIC_DOORBELL: oneOf(['service-broker', 'ole-automation', 'rest-endpoint', 'http', 'none'], 'service-broker'),
  PORTAL_DOORBELL: oneOf(['listen', 'webhook', 'none'], 'listen'),
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof SETTINGS
/** The settings by name, as numbers where they are numbers. */
export type Settings = { readonly [N in SettingName]: NonNullable<ReturnType<(typeof SETTINGS)[N]['read']>> }
