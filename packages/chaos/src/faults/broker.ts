import { setTimeout as delay } from 'node:timers/promises'
import { eventQueue, outcomeQueue, retryQueue } from '@clinic-sync/broker'
import { PARTITIONS } from '@clinic-sync/sync'
import type { RabbitNode } from '@clinic-sync/dev-services/chaos'
import type { Fault } from '../fault.ts'
import type { Ground } from '../ground/ground.ts'
import { patiently } from '../ground/patience.ts'
import { traceAll } from '../ground/world.ts'

const needsCluster = ({ world: { rabbit } }: Ground) =>
  rabbit.nodes.length > 1 ? null : 'it needs a cluster of three nodes: --nodes 3'

/** The node that has a queue's leader. */
async function leaderOf({ world: { rabbit } }: Ground, queue: string): Promise<RabbitNode> {
  const [first] = rabbit.nodes
  if (first === undefined) throw new Error('no node')
  const name = await patiently(async () => {
    const { origin } = new URL(first.managementUrl)
    const response = await fetch(`${origin}/api/queues/%2F/${encodeURIComponent(queue)}`, {
      headers: { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` },
      signal: AbortSignal.timeout(10_000),
    })
    const { leader } = (await response.json()) as { leader?: string }
    if (leader === undefined) throw new Error(`${queue} has no leader`)
    return leader
  })
  return rabbit.nodes.find((node) => node.name === name) ?? first
}

const restart: Fault = {
  name: 'broker-restart',
  about: 'RabbitMQ is killed, every node of it, and starts again',
  lastsMs: [0, 3_000],
  async inject({ world: { rabbit } }) {
    await Promise.all(rabbit.nodes.map((node) => node.kill()))
    return async () => {
      await Promise.all(rabbit.nodes.map((node) => node.start()))
      await traceAll(rabbit)
    }
  },
}

const leaderKilled: Fault = {
  name: 'broker-leader',
  about: "the node with a queue's leader is killed, and starts again later",
  lastsMs: [5_000, 12_000],
  unfit: needsCluster,
  async inject(ground, random) {
    const node = await leaderOf(ground, eventQueue('sql-to-postgres', random.int(0, PARTITIONS - 1)))
    await node.kill()
    return async () => {
      await node.start()
      await traceAll(ground.world.rabbit)
    }
  },
}

const nodePaused: Fault = {
  name: 'broker-paused',
  about: 'a node stands still (SIGSTOP), and goes on later as if nothing had been',
  lastsMs: [20_000, 30_000],
  async inject({ world: { rabbit } }, random) {
    const node = random.pick(rabbit.nodes)
    node.pause()
    return async () => node.resume()
  },
}

const alarm = (name: string, about: string, raise: readonly string[], lower: readonly string[]): Fault => ({
  name,
  about,
  lastsMs: [5_000, 12_000],
  async inject({ world: { rabbit } }) {
    const all = (words: readonly string[]) =>
      Promise.all(rabbit.nodes.map((node) => patiently(() => node.control(...words), 60_000)))
    await all(raise)
    return async () => void (await all(lower))
  },
})

/** What was in it is gone with it: an operator sends it anew. */
const queueDeleted: Fault = {
  name: 'broker-queue',
  about:
    'a queue is deleted with what is in it; it is declared again, and an operator sends anew what was in it (requeue)',
  lastsMs: [2_000, 4_000],
  async inject(ground, random) {
    const { desk, sides, crew } = ground
    const direction = random.pick(['sql-to-postgres', 'postgres-to-sql'] as const)
    const queue = random.pick([
      eventQueue(direction, random.int(0, PARTITIONS - 1)),
      eventQueue(direction, random.int(0, PARTITIONS - 1)),
      outcomeQueue(direction),
      retryQueue(1),
    ])
    await desk.use((channel) => channel.deleteQueue(queue))
    return async () => {
      // Nobody consumes the retry queue: it comes back with the next connection of a service.
      if (queue.startsWith('sync.retry')) for (const [, way] of crew.ways) way.cut('all')
      const found = await patiently(() => desk.use((channel) => channel.checkQueue(queue), 1_000), 60_000).catch(
        () => null,
      )
      if (found === null) ground.troubles.push(`${queue} was not declared again within 60 s`)
      await delay(1_000)
      const filter = { status: ['Queued'] as const, dryRun: false }
      for (const side of [sides.clinic, sides.portal]) await patiently(() => side.requeue(filter))
      // Beside another fault, the ingress may not have its connections back yet.
      await patiently(() => crew.trigger(), 90_000)
    }
  },
}

export const BROKER_FAULTS: readonly Fault[] = [
  restart,
  nodePaused,
  alarm(
    'broker-disk-alarm',
    'RabbitMQ has too little disk: whoever publishes is blocked',
    ['set_disk_free_limit', '1000000GB'],
    ['set_disk_free_limit', '50MB'],
  ),
  alarm(
    'broker-memory-alarm',
    'RabbitMQ has too little memory: whoever publishes is blocked',
    ['set_vm_memory_high_watermark', '0.000001'],
    ['set_vm_memory_high_watermark', '0.4'],
  ),
  queueDeleted,
  leaderKilled,
]
