import { startSimulator } from '@clinic-sync/sqlserver-simulator'

/** The simulator in a process of its own, as a server is; see `simulator.ts` for what it is told and asked. */
const simulator = await startSimulator({ migrated: false, log: (line) => console.error(line) })
process.on('message', () => process.send?.({ queries: simulator.queries() }))
// Whoever started it is gone.
process.once('disconnect', () => process.exit(0))
process.send?.({ url: simulator.url, serviceUrl: simulator.serviceUrl })
