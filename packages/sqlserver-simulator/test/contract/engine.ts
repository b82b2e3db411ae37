import * as simulator from '../../src/index.ts'
import { openDatabase, type Target } from './real-engine.ts'

type Start = (options: { migrated: boolean }) => Promise<Target>

/** A migrated clinic for one test file: on the server at SQLSERVER_URL if that is set, else in a simulator of its own. */
export async function openEngine(): Promise<Target> {
  const server = process.env.SQLSERVER_URL
  if (server) return openDatabase(server)
  const { startSimulator } = simulator as unknown as { startSimulator: Start }
  return startSimulator({ migrated: true })
}
