import { Blocked, waitFor } from '../engine/locks.ts'
import type { Session } from '../engine/session.ts'
import type { Transaction } from '../engine/transaction.ts'
import type { Work } from '../engine/work.ts'

/**
 * Runs `body` all or nothing, in the session's transaction or one of its own. If it meets another's lock it is undone,
 * waits and runs again from its beginning: nobody has seen what it did.
 */
export async function atomically<T>(
  session: Session,
  signal: AbortSignal,
  body: (work: Work) => T | Promise<T>,
  lockTimeout = session.lockTimeout,
): Promise<T> {
  const own = session.transaction === null ? session.newTransaction() : null
  const tx = own ?? (session.transaction as Transaction)
  try {
    for (;;) {
      const mark = tx.mark
      const work: Work = { db: session.db, tx, session, identities: new Map(), calls: [] }
      const queueId = session.db.queueId
      try {
        const result = body(work)
        const value = result instanceof Promise ? await result : result
        for (const call of work.calls) await call()
        signal.throwIfAborted()
        own?.commit()
        return value
      } catch (error) {
        tx.undoTo(mark)
        if (!(error instanceof Blocked)) throw error
        for (const [table, identity] of work.identities) table.identity = identity
        session.db.queueId = queueId
        await waitFor(tx, error, lockTimeout, signal)
      }
    }
  } catch (error) {
    own?.rollback()
    throw error
  }
}
