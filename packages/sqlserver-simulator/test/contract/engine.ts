import { startSimulator } from '../../src/index.ts'
import { openDatabase, type Target } from './real-engine.ts'

/** A migrated clinic for one test file: on the server at SQLSERVER_URL if that is set, else in a simulator of its own. */
export async function openEngine(): Promise<Target> {
  const server = process.env.SQLSERVER_URL
  return server ? openDatabase(server) : startSimulator({ migrated: true })
}
