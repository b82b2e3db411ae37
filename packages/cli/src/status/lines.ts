import { deadQueue, DIRECTIONS, eventQueues, outcomeQueue, RETRY_DELAYS_MS, retryQueue } from '@clinic-sync/broker'
import type { OutboxPart, QueuesPart, Reachable, SyncStatus } from '@clinic-sync/contracts'
import { duration, together, verified } from '@clinic-sync/operations'
import { tableLines, wrapped } from './table.ts'

const WIDTH = 110
const SIDES = ['clinic', 'portal'] as const

/** A status for people: what is wrong first, then the figures. */
export const statusLines = (status: SyncStatus): string[] => [
  ...verdict(status),
  '',
  ...outboxLines(status),
  '',
  ...queueLines(status),
  '',
  ...deadLines(status),
  '',
  ...verificationLines(status),
  '',
  ...ingressLines(status),
]

function verdict({ ok, problems, outboxes }: SyncStatus): string[] {
  if (!ok)
    return [
      problems.length === 1 ? 'One thing needs attention:' : `${problems.length} things need attention:`,
      ...problems.flatMap((problem, i) => wrapped(`  ${i + 1}. ${problem}`, WIDTH, '     ')),
    ]
  const open = SIDES.map((side) => outboxes[side]).reduce(
    (sum, outbox) => sum + (outbox.reachable ? outbox.rows.Pending + outbox.rows.Queued : 0),
    0,
  )
  return [open === 0 ? 'In sync: nothing is on its way.' : `Nothing is stuck; ${number(open)} on their way.`]
}

function outboxLines({ outboxes, at }: SyncStatus): string[] {
  const row = (side: string, outbox: Reachable<OutboxPart>) => {
    const { rows, retrying, oldestPendingSeconds, oldestQueuedSeconds, last } = outbox
    return [
      side,
      ...[rows.Pending, rows.Queued, retrying, rows.Failed, rows.Synced].map(number),
      age(oldestPendingSeconds),
      age(oldestQueuedSeconds),
      last === null ? '–' : `${last.table}/${last.key}, ${since(last.settledAt, at)}`,
      last === null ? '–' : latency(last.latencyMs),
    ]
  }
  const asked = SIDES.flatMap((side) => {
    const outbox = outboxes[side]
    return outbox.reachable ? [row(side, outbox)] : []
  })
  const head = ['OUTBOX', 'pending', 'queued', 'retrying', 'failed', 'synced', 'oldest pending', 'oldest queued']
  return [
    ...tableLines([[...head, 'last event', 'took'], ...asked], [1, 2, 3, 4, 5, 6, 7]),
    ...SIDES.flatMap((side) => {
      const outbox = outboxes[side]
      if (!outbox.reachable) return [`${side}  cannot be asked: ${outbox.reason}`]
      if (outbox.failed.length === 0) return []
      const causes = outbox.failed.map(
        ({ cause, rows, discarded }) => `${cause} ${number(rows)}${discarded ? ' (given up)' : ''}`,
      )
      return wrapped(`${side}  failed: ${causes.join(', ')}`, WIDTH, '        ')
    }),
  ]
}

function queueLines({ queues }: SyncStatus): string[] {
  if (!queues.reachable) return [`QUEUES cannot be asked: ${queues.reason}`]
  const row = (name: string, names: readonly string[], isConsumed: boolean) => {
    const { messages, consumers } = together(queues, names)
    return [name, number(messages), isConsumed ? number(consumers) : '']
  }
  return [
    ...tableLines(
      [
        ['QUEUE', 'waiting', 'consumers'],
        ...DIRECTIONS.flatMap((direction) => [
          row(`${direction}, events`, eventQueues(direction), true),
          row(`${direction}, outcomes`, [outcomeQueue(direction)], true),
          row(`${direction}, dead letters`, [deadQueue(direction)], false),
        ]),
      ],
      [1, 2],
    ),
    `waiting for a retry: ${retries(queues)}`,
  ]
}

const retries = (queues: Reachable<QueuesPart>): string =>
  RETRY_DELAYS_MS.map((ms, i) => {
    const { messages } = together(queues, [retryQueue(i + 1)])
    return `${number(messages)} of ${ms >= 600_000 ? `${ms / 60_000} min` : `${ms / 1_000} s`}`
  }).join(', ')

function deadLines({ deadLetters }: SyncStatus): string[] {
  if (!deadLetters.reachable) return [`DEAD LETTERS cannot be looked at: ${deadLetters.reason}`]
  if (deadLetters.letters === 0) return ['No dead letters.']
  return tableLines(
    [
      ['DEAD LETTERS', 'direction', 'letters', 'superseded'],
      ...deadLetters.causes.map(({ cause, direction, letters, superseded }) => [
        cause,
        direction ?? 'unknown',
        number(letters),
        number(superseded),
      ]),
    ],
    [2, 3],
  )
}

function verificationLines({ verification }: SyncStatus): string[] {
  if (!verification.reachable) return [`VERIFICATION cannot be read: ${verification.reason}`]
  const { last, running } = verification
  const now =
    running &&
    `The ingress compares both databases now: ${number(running.rows)}${running.of === null ? '' : ` of about ${number(running.of)}`} rows.`
  return [
    last === null ? 'Never verified: `npm run sync -- verify` compares both databases.' : verified(last),
    ...(now === null ? [] : [now]),
  ]
}

function ingressLines({ ingress, at }: SyncStatus): string[] {
  if (!ingress.reachable) return [`INGRESS cannot be asked: ${ingress.reason} This command has asked by itself.`]
  const { lead, leader, doorbells } = ingress
  const who =
    leader === null ? 'no ingress answers as the one that leads' : `${leader.host}, process ${leader.pid}, leads`
  const asked = lead === 'leads' ? '' : `; the one asked ${lead === 'standby' ? 'stands by' : 'is connecting'}`
  return [
    `INGRESS  ${who}${asked}`,
    ...SIDES.map((side) => {
      const { doorbell, heard, reason, lastRang } = doorbells[side]
      const state = heard === null ? '' : heard ? ', heard' : `, not heard: ${reason ?? 'no reason is known'}`
      return `${side}'s doorbell: ${doorbell}${state}${lastRang === null ? '' : `, last rang ${since(lastRang, at)}`}`
    }),
  ]
}

const number = (value: number): string => value.toLocaleString('en')
const age = (seconds: number | null): string => (seconds === null ? '–' : duration(seconds))
const since = (instant: string, now: string): string =>
  `${duration(Math.max(0, Math.floor((Date.parse(now) - Date.parse(instant)) / 1_000)))} ago`
const latency = (ms: number): string =>
  ms < 1_000 ? `${ms} ms` : ms < 10_000 ? `${(ms / 1_000).toFixed(1)} s` : duration(Math.round(ms / 1_000))
