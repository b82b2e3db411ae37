import { browseDeadLetters } from '@clinic-sync/broker'
import type { TraceResult } from '@clinic-sync/operations'
import type { Environment } from '@clinic-sync/runtime'
import type { Test } from 'tap'
import { traceCommand } from '../../src/trace/command.ts'
import { type IngressTweaks, paper, until, world } from './whole-sync.ts'

export type Tracing = Awaited<ReturnType<typeof tracing>>

/** The whole sync in this process, and the command. */
export async function tracing(t: Test) {
  const here = await world(t)
  const { environment, clinicSql, portalSql } = here
  return {
    ...here,
    /** An ingress, once it leads and hears both doorbells. */
    async startIngress(tweaks?: IngressTweaks) {
      const ingress = await here.startIngress(tweaks)
      await until('the ingress is ready', async () => (await fetch(`${ingress.url}/readyz`)).ok)
      return ingress
    },
    /** Runs the command with `--json`. */
    async trace(within = 3, more: Environment = {}) {
      const { out, text } = paper()
      const code = await traceCommand({ environment: { ...environment, ...more }, json: true, within, out })
      return { ...(JSON.parse(text()) as TraceResult), code }
    },
    /** Runs the command for people. */
    async say(within = 3) {
      const { out, text } = paper()
      await traceCommand({ environment, json: false, within, out })
      return text()
    },
    /** Waits until nothing of either outbox is on its way, or has failed, and no dead letter is there. */
    async clean(t: Test) {
      await until('both outboxes are settled', async () => {
        const open = await clinicSql("SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status <> 'Synced'")
        const [theirs] = await portalSql("SELECT count(*)::int AS n FROM sync.queue WHERE status <> 'Synced'")
        return open[0]?.n === 0 && theirs?.n === 0
      })
      const letters = await browseDeadLetters({ url: here.vhost.url })
      const named = letters.map(({ about, errorCode }) => `${about?.table} ${errorCode}`)
      t.strictSame(named, [], 'no dead letter is left')
      t.strictSame(await portalSql('SELECT * FROM sync.lost_edits'), [])
      t.strictSame(await clinicSql('SELECT * FROM sync.Conflicts'), [])
    },
  }
}

/** A fault, induced and repaired: then the round is whole, and nothing of the trace that met it is left. */
export const faultsOf =
  (t: Test, world: Tracing) =>
  (name: string, meet: (t: Test) => Promise<void>): Promise<unknown> =>
    t.test(name, async (t) => {
      await meet(t)
      await until('the round is whole again', async () => (await world.trace()).ok)
      await world.clean(t)
    })

/** `leg hop kind` of each. */
export const kinds = ({ faults }: TraceResult): string[] =>
  faults.map(({ leg, hop, kind }) => `${leg ?? '-'} ${hop ?? '-'} ${kind}`)
/** `leg hop` of each that came. */
export const came = ({ hops }: TraceResult): string[] => hops.map(({ leg, hop }) => `${leg} ${hop}`)
/** Hops of a whole round. */
export const ALL = 11
