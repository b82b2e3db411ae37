import type { ChannelModel } from 'amqplib'

/** RabbitMQ's version, as it said when it was connected to. */
export function versionOf(model: ChannelModel): string | null {
  const { serverProperties } = model.connection as unknown as { serverProperties?: { version?: unknown } }
  return typeof serverProperties?.version === 'string' ? serverProperties.version : null
}
