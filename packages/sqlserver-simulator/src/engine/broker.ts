import { Bell } from './bell.ts'
import type { Transaction } from './transaction.ts'

/** Service Broker, as far as the doorbell needs it: a message of no content, delivered at the commit. */
export class Broker {
  readonly bell = new Bell()
  /** The session that has called sync.WaitForChanges last with a time limit. */
  waiter = 0
  /** `ALTER DATABASE … SET ENABLE_BROKER`. */
  isEnabled = true

  /** SEND: delivered once for a transaction, however often it sends, since whoever receives takes everything there is. */
  send(tx: Transaction): void {
    tx.did(
      () => {},
      () => tx.atEnd(this, () => this.bell.ring()),
    )
  }
}
