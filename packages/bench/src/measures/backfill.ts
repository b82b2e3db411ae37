import { startChild } from '@clinic-sync/demo'
import type { Measure } from '../measure.ts'
import { filled } from '../stage/filled.ts'
import { inMode } from '../stage/mode.ts'
import type { Stage } from '../stage/stage.ts'
import { purge } from './outboxes.ts'

const TABLES = [
  'aligner_set_payments',
  'aligner_notes',
  'aligner_batches',
  'aligner_sets',
  'work',
  'patients',
  'aligner_doctors',
]

/** The operator's own command, as built, into an empty portal: from its process's start to its end. */
export const backfill: Measure = {
  name: 'backfill',
  when: 'each',
  prepare: (stage, scale) => filled(stage, scale),
  async run(stage) {
    await inMode(stage, 'default')
    await purge(stage)
    const rows = await emptyPortal(stage)
    const since = performance.now()
    const told = await command(stage)
    const seconds = (performance.now() - since) / 1_000
    if (!told.includes(`${rows} rows queued`)) throw new Error(`${rows} rows should have been sent. It says:\n${told}`)
    await purge(stage)
    return [{ name: 'backfill', unit: 'rows/s', better: 'more', value: rows / seconds }]
  },
}

/** Empties the portal, as if nothing had ever arrived there. @returns how many rows it had */
async function emptyPortal({ portal }: Stage): Promise<number> {
  const counts = TABLES.map((table) => `(SELECT count(*) FROM ${table})`).join(' + ')
  const { rows } = await portal.query<{ n: string }>(`SELECT ${counts} AS n`)
  await portal.query(
    `BEGIN; SELECT set_config('sync.applying', 'on', true); TRUNCATE ${TABLES.join(', ')}, sync.row_state; COMMIT`,
  )
  return Number(rows[0]?.n)
}

/** @returns what it has said */
async function command({ crew, server, addresses, folder }: Stage): Promise<string> {
  const child = startChild({
    name: `backfill-${Date.now()}`,
    script: 'packages/cli/dist/main.js',
    args: ['backfill', '--restart'],
    settings: {
      SQLSERVER_URL: server.serviceUrl,
      RABBITMQ_URL: addresses.rabbit,
      CLINIC_TIME_ZONE: 'Asia/Baghdad',
      SYNC_OPERATOR_TOKEN: crew.operatorToken,
      INGRESS_URL: await crew.addressOf('ingress'),
    },
    folder,
  })
  await child.ended
  return child.tail()
}
