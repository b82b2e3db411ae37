import { connectBroker } from '@clinic-sync/broker'
import { openClinic } from '@clinic-sync/clinic'
import { parseWebhookKeys } from '@clinic-sync/contracts'
import { openPortal } from '@clinic-sync/portal'
import {
  createMetrics,
  observeDatabase,
  parseProxies,
  readSettings,
  runService,
  startHealth,
} from '@clinic-sync/runtime'
import { alertSender } from './alerts/sender.ts'
import { observers, Senses } from './alerts/senses.ts'
import { migrationsOf } from './page/versions.ts'
import { keepDeadLetters } from './dead-letters.ts'
import { serve } from './serve.ts'
import { refuseTransactionMode } from './transaction-mode.ts'

const SETTINGS = [
  'SQLSERVER_URL',
  'POSTGRES_URL',
  'RABBITMQ_URL',
  'CLINIC_TIME_ZONE',
  'SYNC_WEBHOOK_SECRET',
  'SYNC_WEBHOOK_KEYS',
  'SYNC_OPERATOR_TOKEN',
  'INGRESS_HOST',
  'INGRESS_PORT',
  'INGRESS_TRUST_PROXY',
  'INGRESS_URL',
  'ALERT_WEBHOOK_URL',
  'HEALTH_HOST',
  'HEALTH_PORT',
  'CLINIC_DOORBELL',
  'PORTAL_DOORBELL',
] as const

runService({
  name: 'ingress',
  async start({ environment, log, recent, fail }) {
    const settings = readSettings(SETTINGS, environment)
    refuseTransactionMode(settings)
    const metrics = createMetrics({ service: 'ingress', queueDepths: () => broker.queueDepths() })
    const senses = settings.ALERT_WEBHOOK_URL === '' ? undefined : new Senses()
    const observer = senses === undefined ? metrics.observer : observers(metrics.observer, senses.observer)
    const { SQLSERVER_URL, CLINIC_TIME_ZONE: timeZone } = settings
    const clinic = observeDatabase('clinic', await openClinic({ url: SQLSERVER_URL, timeZone, log }), observer)
    const doorbell = settings.PORTAL_DOORBELL === 'webhook' ? 'webhook' : 'listen'
    const portal = observeDatabase('portal', await openPortal({ url: settings.POSTGRES_URL, log, doorbell }), observer)
    const broker = await connectBroker({ url: settings.RABBITMQ_URL, log, name: 'ingress', observer })
    const served = await serve({
      clinic,
      portal,
      broker,
      log,
      onFatal: fail,
      clinicDoorbell: settings.CLINIC_DOORBELL,
      portalDoorbell: settings.PORTAL_DOORBELL,
      host: settings.INGRESS_HOST,
      port: settings.INGRESS_PORT,
      trustProxy: parseProxies(settings.INGRESS_TRUST_PROXY) ?? [],
      webhookSecret: settings.SYNC_WEBHOOK_SECRET,
      webhookKeys: parseWebhookKeys(settings.SYNC_WEBHOOK_KEYS) ?? [],
      operatorToken: settings.SYNC_OPERATOR_TOKEN,
      metrics,
      command: environment['SYNC_COMMAND'],
      observer,
      recent,
      bookkeeping: { clinic, portal },
      status: { clinic, portal, broker, rabbitmqUrl: settings.RABBITMQ_URL },
      page: {
        databases: { clinic, portal },
        rabbitmqUrl: settings.RABBITMQ_URL,
        migrations: {
          clinic: async () => migrationsOf(await clinic.inspect()),
          portal: () => portal.migrations(),
        },
        rabbitmqVersion: () => broker.serverVersion(),
      },
      alerts: senses && {
        url: settings.ALERT_WEBHOOK_URL,
        rabbitmqUrl: settings.RABBITMQ_URL,
        broker,
        outboxes: { clinic, portal },
        senses,
        sender: alertSender(settings.INGRESS_URL),
        memory: broker.note,
      },
    })
    keepDeadLetters(broker, { clinic, portal })
    const { state } = served.ingress
    const health = await startHealth({
      host: settings.HEALTH_HOST,
      port: settings.HEALTH_PORT,
      ready: () => state.reasons(),
      metrics,
      recent,
    })
    return {
      async close() {
        await served.close()
        await health.close()
        await broker.close()
        await Promise.all([clinic.close(), portal.close()])
      },
    }
  },
})
