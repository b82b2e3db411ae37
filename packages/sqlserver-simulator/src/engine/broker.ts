import { Bell } from './bell.ts'
import type { Transaction } from './transaction.ts'

/** Service Broker, as far as the doorbell needs it: a message is delivered at the commit, or kept while the broker is off. */
export class Broker {
  readonly bell = new Bell()
  #enabled = true
  /** Messages in sys.transmission_queue. */
  backlog = 0

  get isEnabled(): boolean {
    return this.#enabled
  }
  /** `ALTER DATABASE … SET ENABLE_BROKER` or `DISABLE_BROKER`. What was kept is delivered then. */
  set(enabled: boolean): void {
    this.#enabled = enabled
    if (!enabled || this.backlog === 0) return
    this.backlog = 0
    this.bell.ring()
  }

  /** SEND: once for a transaction, however often it sends, since whoever receives takes everything there is. */
  send(tx: Transaction): void {
    tx.did(
      () => {},
      () => tx.atEnd(this, () => this.#deliver()),
    )
  }
  #deliver(): void {
    if (this.#enabled) this.bell.ring()
    else this.backlog++
  }
}
