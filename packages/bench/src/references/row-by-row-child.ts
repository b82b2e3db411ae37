import { connectBroker, startEventConsumer } from '@clinic-sync/broker'
import { openClinic } from '@clinic-sync/clinic'
import { openPortal } from '@clinic-sync/portal'
import { createLogger } from '@clinic-sync/runtime'
import { toEvent } from '@clinic-sync/sync'

/**
 * One of our services as the original worked, from the same library: a row, await, the next. The ingress (`publish`) takes one change,
 * publishes it, waits for its confirm, settles it, and begins anew until there is nothing; outcomes it settles one at a time. The
 * consumer (`apply`) applies and acknowledges one event at a time. See `row-by-row.ts`.
 */
const [role, clinicUrl = '', portalUrl = '', rabbitUrl = ''] = process.argv.slice(2)
// As in production: the process writes its log.
const log = createLogger({ name: `row-by-row-${role}`, level: 'info' })
const broker = await connectBroker({ url: rabbitUrl, log, name: `row-by-row-${role}` })
// Whoever started it is gone.
process.once('disconnect', () => process.exit(0))
await broker.ready()

if (role === 'publish') {
  const clinic = await openClinic({ url: clinicUrl, timeZone: 'Asia/Baghdad', log })
  broker.consumeOutcomes(
    'sql-to-postgres',
    async (batches) => {
      for (const { outcomes } of batches) for (const outcome of outcomes) await clinic.settleChanges([outcome])
    },
    { check: () => clinic.check(), maxBatch: 1, maxWaitMs: 0 },
  )
  process.on('message', async () => {
    let published = 0
    for (;;) {
      const { changes, rows } = await clinic.takeChanges(1)
      if (rows === 0) break
      for (const change of changes) {
        await broker.publishEvents([toEvent('clinic', change)])
        const { table, key, version } = change
        await clinic.settleChanges([{ table, key, version, outcome: 'queued' }])
        published++
      }
    }
    process.send?.({ published })
  })
} else {
  const target = await openPortal({ url: portalUrl, log })
  startEventConsumer({ broker, direction: 'sql-to-postgres', target, log, limits: { maxBatch: 1, maxWaitMs: 0 } })
}
process.send?.({ ready: true })
