import type { SyncEvent } from '@clinic-sync/contracts'
import { toEvent } from '@clinic-sync/sync'
import type { Test } from 'tap'
import { connectBroker, type Broker, type BrokerOptions, type Log } from '../../src/index.ts'

/** Keeps what would be logged. */
export interface Lines extends Log {
  readonly lines: { level: string; fields: object; message: string }[]
}
export function keepLines(): Lines {
  const lines: Lines['lines'] = []
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message })
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

export async function testBroker(t: Test, url: string, options: Partial<BrokerOptions> = {}): Promise<Broker> {
  const broker = await connectBroker({ url, log: keepLines(), name: 'test', ...options })
  t.teardown(() => broker.close())
  return broker
}

export const note = (key: number, version: number, text = 'a note', table = 'aligner_notes'): SyncEvent =>
  toEvent('clinic', {
    table,
    key,
    version: String(version),
    seen: '0',
    since: null,
    base: null,
    row: { note_text: text },
    capturedAt: '2026-01-01T00:00:00.000Z',
  })

/** Waits for a condition, 30 s at most. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  const deadline = Date.now() + ms
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
