import type { Delivered, Handled, Open } from './consumer.ts'

/** Acknowledges a batch but for what is put off. @returns whether there was anything to acknowledge */
export function acknowledge(
  batch: readonly Delivered[],
  later: Handled['later'],
  { channel, deliveries }: Pick<Open, 'channel' | 'deliveries'>,
): boolean {
  const done: Delivered['message'][] = []
  for (const delivered of batch) {
    const ms = later?.get(delivered)
    if (ms === undefined) done.push(delivered.message)
    else deliveries.putOff(delivered, ms)
  }
  const [first, ...others] = done
  if (first === undefined) return false
  const newest = others.reduce((a, b) => (b.fields.deliveryTag > a.fields.deliveryTag ? b : a), first)
  deliveries.done(done)
  if (deliveries.isOldest(newest)) channel.ack(newest, true)
  else for (const message of done) channel.ack(message)
  return true
}
