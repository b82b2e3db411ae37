import { inSpan } from '@clinic-sync/broker'
import type { Side } from '@clinic-sync/contracts'
import { DatabaseError, type Observer, type Taken } from '@clinic-sync/sync'
import { type Attributes, SpanKind } from '@opentelemetry/api'

/** The calls that are the sync's work, and the names of their spans. */
const SPANS: Readonly<Record<string, string>> = {
  takeChanges: 'take',
  settleChanges: 'settle',
  applyChanges: 'apply',
}
const SYSTEMS = { clinic: 'microsoft.sql_server', portal: 'postgresql' } as const

/**
 * The same database, with each failure of a call told to the observer, and the sync's own work in spans. What a call gives or
 * throws is what it gave or threw.
 */
export function observeDatabase<D extends object>(side: Side, database: D, observer: Observer | undefined): D {
  const failed = (error: unknown) => {
    if (error instanceof DatabaseError) observer?.databaseFailed?.(side, error.failure)
  }
  const observed = async (name: string, given: readonly unknown[], work: () => Promise<unknown>): Promise<unknown> => {
    const ahead = typeof given[1] === 'string'
    try {
      const answer = await work()
      if (name === 'takeChanges') observer?.taken?.(side, answer as Taken, ahead)
      return answer
    } catch (error) {
      failed(error)
      if (name === 'takeChanges') observer?.taken?.(side, null, ahead)
      throw error
    }
  }
  return new Proxy(database, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function' || typeof name !== 'string') return member
      return (...given: unknown[]) => {
        const call = (): unknown => Reflect.apply(member, target, given)
        const span = SPANS[name]
        if (span !== undefined) {
          const options = { kind: SpanKind.CLIENT, attributes: attributesOf(side, name, given[0]) }
          return observed(name, given, () => inSpan(`${span} ${side}`, options, call as () => Promise<unknown>))
        }
        const result = call()
        return result instanceof Promise ? observed(name, given, () => result) : result
      }
    },
  })
}

const attributesOf = (side: Side, name: string, given: unknown): Attributes => ({
  'db.system.name': SYSTEMS[side],
  'db.operation.name': name,
  ...(Array.isArray(given) && { 'db.operation.batch.size': given.length }),
})
