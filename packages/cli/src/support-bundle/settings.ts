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
  if (url) return { given, ...partsOf(value) }
  if (secret) return { given, length: lengthClass(value) }
  if (name === 'HEALTH_URLS') return { given, addresses: (parseAddresses(value) ?? []).map(partsOf) }
  if (name === 'CLINIC_TIME_ZONE' && !isZone(value)) return { given, wrong: 'it is no time zone' }
  return { given, value }
}

/** Not the length itself, which would help who guesses. */
function lengthClass(secret: string): string {
  const { length } = secret
  return length < 16 ? 'under 16' : length < 32 ? '16 to 31' : length < 64 ? '32 to 63' : '64 or more'
}

/** A web address' path may hold a token: only how many parts it has is told. A database's is its name. */
function partsOf(text: string): object {
  const { protocol, hostname, port, pathname, username, password, searchParams } = new URL(text)
  const parts = pathname.split('/').filter((part) => part !== '')
  return {
    scheme: protocol.replace(':', ''),
    host: hostname,
    port: port === '' ? null : Number(port),
    ...(/^https?:$/.test(protocol) ? { pathParts: parts.length } : { database: parts.join('/') }),
    user: username !== '',
    password: password !== '',
    parameters: [...new Set(searchParams.keys())],
  }
}

function isZone(text: string): boolean {
  try {
    openZone(text)
    return true
  } catch {
    return false
  }
}

/** Everything in the settings that must not be in the bundle. */
export function secretsIn(environment: Environment): string[] {
  return NAMES.flatMap((name) => {
    const { secret, url }: Setting = SETTINGS[name]
    const given = [environment[name]?.trim() ?? '']
    try {
      given.push(String(readSettings([name], environment)[name]))
    } catch {
      // Missing or wrong: what was given is all there is.
    }
    const texts = given.filter((text) => text !== '')
    if (url) return texts.flatMap(secretsOfUrl).filter((text) => secret || text !== texts[0])
    return secret ? texts.flatMap((text) => [text, ...text.split(/[\s,]+/)]) : []
  })
}
