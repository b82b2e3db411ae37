import { parseWebhookKeys } from '@clinic-sync/contracts'
import { isIP } from 'node:net'
import Type, { type Static, type TSchema } from 'typebox'

/** One setting, as `.env.example` explains it. */
export interface Setting<S extends TSchema = TSchema> {
  /** What its text must be, once numbers are numbers. */
  readonly schema: S
  /** Completes "<NAME> must be …". */
  readonly expected: string
  /** Without it, the setting is required. */
  readonly fallback?: Static<S>
  /** May also be given as the path of a file, in `<NAME>_FILE`. Its value is never shown. */
  readonly secret: boolean
  readonly url: boolean
  /** The URL's parameters that name files: see `readSettings`. */
  readonly files?: readonly string[]
}

const plain = <S extends TSchema>(schema: S, expected: string, fallback: Static<S>) => ({
  schema,
  expected,
  fallback,
  secret: false,
  url: false,
})
const secret = <S extends TSchema>(schema: S, expected: string) => ({ schema, expected, secret: true, url: false })
/** The pattern catches another scheme; that it is a URL at all (a port, say, that is a number) is checked besides. */
const address = (files: readonly string[], expected: string, ...schemes: string[]) => ({
  schema: Type.String({ pattern: `^(${schemes.join('|')})://[^\\s/?#]+` }),
  expected,
  secret: true,
  url: true,
  files,
})
const CLINIC_FILES = ['ca']
const PORTAL_FILES = ['sslrootcert', 'sslcert', 'sslkey']
const BROKER_FILES = ['cacertfile', 'certfile', 'keyfile']

const port = Type.Integer({ minimum: 0, maximum: 65_535 })
/** 16 characters cannot be guessed; an empty or default-looking secret would be. */
const key = Type.String({ minLength: 16, maxLength: 512 })

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

/** Every setting of every service, by the name of its environment variable. */
export const SETTINGS = {
  SQLSERVER_URL: address(CLINIC_FILES, 'mssql://user:password@host:port/database', 'mssql'),
  /** '' where SQLSERVER_URL's login may do everything itself. */
  SQLSERVER_ADMIN_URL: {
    ...address(CLINIC_FILES, 'mssql://user:password@host:port/database', 'mssql'),
    schema: Type.Union([Type.Literal(''), Type.String({ pattern: '^mssql://[^\\s/?#]+' })]),
    fallback: '',
  },
  POSTGRES_URL: address(PORTAL_FILES, 'postgres://user:password@host:port/database', 'postgres', 'postgresql'),
  /** '' where POSTGRES_URL's login owns the portal's tables. */
  POSTGRES_ADMIN_URL: {
    ...address(PORTAL_FILES, 'postgres://user:password@host:port/database', 'postgres', 'postgresql'),
    schema: Type.Union([Type.Literal(''), Type.String({ pattern: '^postgres(ql)?://[^\\s/?#]+' })]),
    fallback: '',
  },
  RABBITMQ_URL: address(BROKER_FILES, 'amqp://user:password@host:port/vhost, or amqps://', 'amqp', 'amqps'),
  CLINIC_TIME_ZONE: plain(Type.String({ minLength: 1 }), 'a time zone such as Asia/Baghdad', 'Asia/Baghdad'),
  SYNC_WEBHOOK_SECRET: secret(key, 'at least 16 characters'),
  /** '' for none; else read it with `parseWebhookKeys`. */
  SYNC_WEBHOOK_KEYS: {
    ...secret(
      Type.Refine(Type.String(), (text) => parseWebhookKeys(text) !== null),
      'one or two keys, each of them whsec_ and the base64 of 24 to 64 bytes',
    ),
    fallback: '',
  },
  SYNC_OPERATOR_TOKEN: secret(key, 'at least 16 characters'),
  INGRESS_HOST: plain(Type.String({ minLength: 1 }), 'an address to listen at', '127.0.0.1'),
  INGRESS_PORT: plain(port, 'a whole number from 0 to 65535', 3000),
  /** '' for none; else read it with `parseProxies`. */
  INGRESS_TRUST_PROXY: plain(
    Type.Refine(Type.String(), (text) => parseProxies(text) !== null),
    'addresses of proxies, such as loopback or 172.16.0.0/12, with commas between them',
    '',
  ),
  INGRESS_URL: {
    ...plain(
      Type.String({ pattern: '^https?://[^\\s/?#]+' }),
      'an address such as http://127.0.0.1:3000',
      'http://127.0.0.1:3000',
    ),
    url: true,
  },
  /** '' where SQL Server finds the ingress at INGRESS_URL too. */
  DOORBELL_URL: {
    ...plain(
      Type.Union([Type.Literal(''), Type.String({ pattern: '^https?://[^\\s/?#]+' })]),
      'an address such as http://127.0.0.1:3000',
      '',
    ),
    url: true,
  },
  HEALTH_HOST: plain(Type.String({ minLength: 1 }), 'an address to listen at', '127.0.0.1'),
  HEALTH_PORT: plain(port, 'a whole number from 0 to 65535', 0),
  LOG_LEVEL: plain(
    Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    'one of fatal, error, warn, info, debug, trace, silent',
    'info',
  ),
  CLINIC_DOORBELL: plain(
    Type.Enum(['service-broker', 'ole-automation', 'rest-endpoint', 'http', 'none']),
    'one of service-broker, ole-automation, rest-endpoint, http, none',
    'service-broker',
  ),
  PORTAL_DOORBELL: plain(Type.Enum(['listen', 'webhook', 'none']), 'one of listen, webhook, none', 'listen'),
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof SETTINGS
/** The settings by name, as numbers where they are numbers. */
export type Settings = { readonly [N in SettingName]: Static<(typeof SETTINGS)[N]['schema']> }
