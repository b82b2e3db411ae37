import {
  type Environment,
  parseAddresses,
  readSettings,
  type Setting,
  SETTINGS,
  type SettingName,
} from '@clinic-sync/runtime'
import { openZone } from '@clinic-sync/clinic'
import { secretsOfUrl } from '@clinic-sync/operations'
import { SyncError } from '@clinic-sync/sync'
import { isIP } from 'node:net'
import { json, only, type Part } from './part.ts'

const NAMES = Object.keys(SETTINGS) as SettingName[]
/** Others that change how Node behaves: whether they are set. */
const OTHERS = [
  'NODE_OPTIONS',
  'NODE_EXTRA_CA_CERTS',
  'NODE_TLS_REJECT_UNAUTHORIZED',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'TZ',
]

/** Every setting: what is secret by its length's class, URLs by their parts without the login, files not at all. */
export const settingsPart: Part = {
  what: 'settings.json',
  patienceMs: 10_000,
  collect: async ({ environment }) =>
    only({
      path: 'settings.json',
      about:
        'every setting by its name. Of secrets: whether they are set, and a class of length. Of URLs: scheme, host, port, database and names of parameters; no user, password or token.',
      text: json({
        settings: Object.fromEntries(NAMES.map((name) => [name, described(name, environment)])),
        alsoSet: OTHERS.filter((name) => environment[name]),
      }),
    }),
}

function described(name: SettingName, environment: Environment): object {
  const { secret, url }: Setting = SETTINGS[name]
  const given = environment[name]?.trim() ? 'by value' : environment[`${name}_FILE`]?.trim() ? 'by file' : 'no'
  let value: string
  try {
    value = String(readSettings([name], environment)[name])
  } catch (error) {
    return { given, wrong: error instanceof SyncError ? error.message : 'it cannot be read' }
  }
  if (value === '') return { given, value: null }
  if (url) return { given, ...partsOf(value, name === 'ALERT_WEBHOOK_URL') }
  if (secret) return { given, length: lengthClass(value) }
  if (name === 'HEALTH_URLS') return { given, addresses: (parseAddresses(value) ?? []).map((each) => partsOf(each)) }
  if (name === 'CLINIC_TIME_ZONE' && !isZone(value)) return { given, wrong: 'it is no time zone' }
  return { given, value }
}

/** Not the length itself, which would help who guesses. */
function lengthClass(secret: string): string {
  const { length } = secret
  return length < 16 ? 'under 16' : length < 32 ? '16 to 31' : length < 64 ? '32 to 63' : '64 or more'
}

/**
 * A web address' path may hold a token: only how many parts it has is told. A database's is its name.
 *
 * @param whole the address itself is a secret: a receiver's own name before its host's, and a parameter's name, may be it
 */
function partsOf(text: string, whole = false): object {
  const { protocol, hostname, port, pathname, username, password, searchParams } = new URL(text)
  const parts = pathname.split('/').filter((part) => part !== '')
  const names = [...new Set(searchParams.keys())]
  return {
    scheme: protocol.replace(':', ''),
    host: whole ? shortHost(hostname) : hostname,
    port: port === '' ? null : Number(port),
    ...(/^https?:$/.test(protocol) ? { pathParts: parts.length } : { database: parts.join('/') }),
    user: username !== '',
    password: password !== '',
    parameters: whole ? names.length : names,
  }
}

/** `…example.net`: of a name of more than three parts the last two; an address is told. */
const shortHost = (host: string) =>
  isIP(host.replace(/^\[|\]$/g, '')) === 0 && host.split('.').length > 3
    ? `…${host.split('.').slice(-2).join('.')}`
    : host

function isZone(text: string): boolean {
  try {
    openZone(text)
    return true
  } catch {
    return false
  }
}

/** Of other programs' settings, which may be in the environment too: a database's password for its own tools, say. */
const LOOKS_SECRET = /PASS(WORD|WD|PHRASE)?$|SECRET|TOKEN|_KEY$|CREDENTIAL/i

/** Everything in the environment that must not be in the bundle. */
export function secretsIn(environment: Environment): string[] {
  const others = Object.entries(environment).flatMap(([name, value]) => {
    const isOurs = Object.hasOwn(SETTINGS, name) || Object.hasOwn(SETTINGS, name.replace(/_FILE$/, ''))
    return !isOurs && LOOKS_SECRET.test(name) && value?.trim() ? [value.trim()] : []
  })
  return [...others, ...NAMES.flatMap((name) => secretsOf(name, environment))]
}

function secretsOf(name: SettingName, environment: Environment): string[] {
  const { secret, url }: Setting = SETTINGS[name]
  const given = [environment[name]?.trim() ?? '']
  try {
    given.push(String(readSettings([name], environment)[name]))
  } catch {
    // Missing or wrong: what was given is all there is.
  }
  const texts = given.filter((text) => text !== '')
  const whole = name === 'ALERT_WEBHOOK_URL'
  if (url) return texts.flatMap((text) => secretsOfUrl(text, whole)).filter((text) => secret || text !== texts[0])
  return secret ? texts.flatMap((text) => [text, ...text.split(/[\s,]+/)]) : []
}
