import type { SettingName } from '@clinic-sync/runtime'

/** The folder of the secrets, beside `.env`. */
export const SECRETS = 'secrets'

/** Each secret's file in the folder, and the setting that is read from it; null: not a setting, Docker Compose mounts the file. */
export const SECRET_FILES = {
  sqlserver_url: 'SQLSERVER_URL',
  sqlserver_admin_url: 'SQLSERVER_ADMIN_URL',
  postgres_url: 'POSTGRES_URL',
  postgres_admin_url: 'POSTGRES_ADMIN_URL',
  rabbitmq_url: 'RABBITMQ_URL',
  rabbitmq_url_ingress: null,
  rabbitmq_url_sql_to_postgres: null,
  rabbitmq_url_postgres_to_sql: null,
  'rabbitmq_definitions.json': null,
  webhook_secret: 'SYNC_WEBHOOK_SECRET',
  webhook_keys: 'SYNC_WEBHOOK_KEYS',
  operator_token: 'SYNC_OPERATOR_TOKEN',
  alert_webhook_url: 'ALERT_WEBHOOK_URL',
} as const satisfies Record<string, SettingName | null>
export type SecretFile = keyof typeof SECRET_FILES
export const SECRET_FILE_NAMES = Object.keys(SECRET_FILES) as readonly SecretFile[]

/** What is in each file; '' where it is not set. */
export type Secrets = Readonly<Record<SecretFile, string>>

/** Certificates to trust, by their names in `secrets/ca`: PEM, and public. */
export type Certificates = ReadonlyMap<string, string>
