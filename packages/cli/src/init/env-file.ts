import type { Previous } from './previous.ts'
import { SECRET_FILE_NAMES, SECRET_FILES, SECRETS } from './layout.ts'

/** The settings that are no secrets, with what they hold. */
export interface PlainSettings {
  readonly CLINIC_TIME_ZONE: string
  readonly CLINIC_DOORBELL: string
  readonly PORTAL_DOORBELL: string
  readonly INGRESS_HOST: string
  readonly INGRESS_PORT: string
  readonly INGRESS_URL: string
  readonly DOORBELL_URL: string
  /** Docker Compose's: at which of this machine's addresses the ingress's port is published. */
  readonly INGRESS_BIND: string
}

/** Of 0.1.0, and nobody's any more: one is a password. */
const FORMER = ['RABBITMQ_USER', 'RABBITMQ_PASSWORD'] as const

/** The text of `.env`: nothing in it is secret. What somebody has added to the one before is kept. */
export function envText(plain: PlainSettings, previous: Previous): string {
  const secrets = SECRET_FILE_NAMES.flatMap((file) => {
    const setting = SECRET_FILES[file]
    return setting === null ? [] : [[setting, file] as const]
  })
  const ours = new Set<string>(['SECRETS_DIR', ...FORMER, ...Object.keys(plain)])
  for (const [setting] of secrets) ours.add(setting).add(`${setting}_FILE`)
  const others = [...previous.lines].filter(([name]) => !ours.has(name))
  return [
    '# Written by `npm run sync -- init`; .env.example says what each setting is. Nothing here is secret: the secrets are in the files.',
    '',
    '# For docker-compose.yml, which gives each service its own files of that folder.',
    `SECRETS_DIR=./${SECRETS}`,
    '',
    '# From this folder. A file may be empty: not set.',
    ...secrets.map(([setting, file]) => `${setting}_FILE=${SECRETS}/${file}`),
    '',
    ...Object.entries(plain).map(([name, value]) => `${name}=${quoted(value)}`),
    ...(others.length === 0 ? [] : ['', '# Kept from the .env before this one.']),
    ...others.map(([name, value]) => previous.written.get(name) ?? `${name}=${quoted(value)}`),
    '',
  ].join('\n')
}

/** As Node and Docker Compose both read it: in single quotes nothing is replaced. */
const quoted = (value: string): string => {
  if (/^[\w./:@%+,?&=-]*$/.test(value)) return value
  return value.includes("'") ? `"${value}"` : `'${value}'`
}
