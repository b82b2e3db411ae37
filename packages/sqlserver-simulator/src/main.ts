import { startSimulator } from './simulator.ts'

const port = Number(process.argv[2] ?? 0)
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  console.error('usage: main.ts [port]')
  process.exit(2)
}
const simulator = await startSimulator({ port, log: (line) => console.error(line) })
console.log('clinic-sync simulator: a development stand-in for the clinic’s SQL Server, in memory; not SQL Server.')
console.log(simulator.url)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void simulator.stop())
