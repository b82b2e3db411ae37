import { aptInstall } from './apt.ts'
import { startContainer } from './docker.ts'
import { installedRabbit, startPrivateRabbit } from './rabbit-private.ts'
import { managementReady } from './rabbit-management.ts'
import { firstOf, shown, type RabbitService, type ServiceOptions } from './service.ts'

const PACKAGE = { service: 'RabbitMQ', name: 'rabbitmq-server', remark: ' (its system service is not started)' }

/**
 * A RabbitMQ to work with: RABBITMQ_URL (and RABBITMQ_MANAGEMENT_URL, if it has the management API), else a private
 * instance of the one on this machine, else Docker, else Debian's or Ubuntu's package, installed after asking. A private
 * one has guest/guest on 127.0.0.1 only, the management API on a port of its own, and its data is gone with it.
 *
 * @throws NoServiceError when there is no way to one.
 */
export function startRabbit(options: ServiceOptions = {}): Promise<RabbitService> {
  const env = options.env ?? process.env
  return firstOf<RabbitService>(
    'RabbitMQ',
    [
      {
        way: 'url',
        label: 'RABBITMQ_URL',
        try: async () => {
          const url = env.RABBITMQ_URL
          if (!url) return 'not set'
          const managementUrl = env.RABBITMQ_MANAGEMENT_URL
          return {
            url,
            how: `RabbitMQ: ${shown(url)} (RABBITMQ_URL)`,
            ...(managementUrl ? { managementUrl } : {}),
            stop: async () => undefined,
          }
        },
      },
      {
        way: 'private',
        label: 'private instance',
        try: async () => {
          const found = await installedRabbit(env)
          return typeof found === 'string' ? found : startPrivateRabbit(found, options)
        },
      },
      { way: 'docker', label: 'Docker', try: () => inDocker(options) },
      {
        way: 'package',
        label: "the distribution's package",
        try: async () => {
          const refused = await aptInstall(PACKAGE, options)
          if (refused) return refused
          const found = await installedRabbit(env)
          return typeof found === 'string' ? found : startPrivateRabbit(found, options)
        },
      },
    ],
    options,
    [
      'Choose one: set RABBITMQ_URL (for instance amqp://guest:guest@127.0.0.1:5672); or install RabbitMQ',
      '(Debian and Ubuntu: apt-get install rabbitmq-server; its system service is not needed); or start Docker; or let it',
      'be installed for you: run again with --yes or CI=true, as root or with passwordless sudo.',
    ].join('\n'),
  )
}

async function inDocker(options: ServiceOptions): Promise<RabbitService | string> {
  const image = 'rabbitmq:4.3-management'
  const container = await startContainer({ image, port: [5672, 15672], environment: {}, options })
  if (typeof container === 'string') return container
  const [port, managementPort] = container.ports
  const managementUrl = `http://guest:guest@127.0.0.1:${managementPort}`
  const version = await container.answers(60_000, () => managementReady(managementUrl))
  return {
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    managementUrl,
    how: `RabbitMQ: Docker ${image} (${version}) on port ${port}`,
    stop: container.stop,
  }
}
