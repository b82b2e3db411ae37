import { rabbitmqDefinitions } from '@clinic-sync/broker'

/**
 * The secrets of `docker compose --profile demo`, by file name: what docker-compose.yml falls back to where init has never run. They
 * are in the repository, so they keep nobody out; nothing but the demo's own containers takes them. The passwords are those
 * that docker-compose.yml gives the demo's two databases.
 */
export function demoSecrets(): Readonly<Record<string, string>> {
  const rabbit = (user: string) => `amqp://${user}:demo-only@rabbitmq:5672`
  const clinic = (login: string) =>
    `mssql://${login}@demo-sqlserver:1433/clinic?encrypt=true&trustServerCertificate=true`
  const portal = (login: string) => `postgres://${login}@demo-postgres:5432/portal?sslmode=disable`
  const passwords = {
    ingress: 'demo-only',
    'sql-to-postgres': 'demo-only',
    'postgres-to-sql': 'demo-only',
    operator: 'demo-only',
  }
  return {
    sqlserver_url: clinic('clinic_sync_service:Demo_only_1'),
    sqlserver_admin_url: clinic('sa:Demo_only_1'),
    postgres_url: portal('clinic_sync_service:demo-only'),
    postgres_admin_url: portal('postgres:demo-only'),
    rabbitmq_url: rabbit('operator'),
    rabbitmq_url_ingress: rabbit('ingress'),
    rabbitmq_url_sql_to_postgres: rabbit('sql-to-postgres'),
    rabbitmq_url_postgres_to_sql: rabbit('postgres-to-sql'),
    'rabbitmq_definitions.json': JSON.stringify(rabbitmqDefinitions({ passwords }), null, 1),
    webhook_secret: 'demo-only-webhook-secret',
    webhook_keys: '',
    alert_webhook_url: '',
    operator_token: 'demo-only-operator-token',
    rabbitmq_cookie: 'demo-only-cookie',
  }
}
