import { SyncError } from '@clinic-sync/sync'
import { readSettings, runService } from '../src/index.ts'

/** A service for run-service.test.ts, which behaves as its first argument says. */
const behaviour = process.argv[2]
runService({
  name: 'fixture',
  start: async ({ environment, log, signal, fail }) => {
    readSettings(['RABBITMQ_URL'], environment)
    if (behaviour === 'idle') return { close: () => Promise.resolve() }
    const alive = setInterval(() => undefined, 1_000)
    if (behaviour === 'waits') await new Promise((resolve) => signal.addEventListener('abort', resolve))
    log.info({}, 'started')
    if (behaviour === 'throws')
      setImmediate(() => {
        throw new Error('Leila')
      })
    if (behaviour === 'fails') fail(new SyncError('SYNC_NOT_MIGRATED', 'no schema sync in the portal'))
    return {
      close: async () => {
        await new Promise((resolve) => setTimeout(resolve, 50))
        log.info({}, 'in flight finished')
        clearInterval(alive)
      },
    }
  },
})
if (behaviour === 'waits') process.stdout.write('{"msg":"waiting"}\n')
