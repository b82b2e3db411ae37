import { startSimulator } from '@clinic-sync/sqlserver-simulator'

/** The simulator in a process of its own, as a server is; see `simulator.ts` for what it is told and asked. */
const simulator = await startSimulator({ migrated: false, log: (line) => console.error(line) })

/** The machine's clock, which both processes read alike. */
const now = () => Number(process.hrtime.bigint()) / 1e6

let unwatch: (() => void) | undefined
process.on('message', (message: 'queries' | 'watch' | 'unwatch') => {
  unwatch?.()
  unwatch = undefined
  if (message === 'watch') unwatch = simulator.watch((written) => process.send?.({ written, at: now() }))
  process.send?.({ queries: simulator.queries() })
})
// Whoever started it is gone.
process.once('disconnect', () => process.exit(0))
process.send?.({ url: simulator.url, serviceUrl: simulator.serviceUrl })
