import type { SyncStatus as Status, Unreachable } from '../../../packages/contracts/src/definitions/status.ts'
import type { Verification } from '../../../packages/contracts/src/definitions/verification.ts'

export type * from '../../../packages/contracts/src/definitions/page.ts'
export type * from '../../../packages/contracts/src/definitions/status.ts'
export type * from '../../../packages/contracts/src/definitions/value.ts'
export type * from '../../../packages/contracts/src/definitions/verification.ts'
export type { DoorbellTestResponse, TriggerResponse } from '../../../packages/contracts/src/definitions/doorbell.ts'

interface Verified {
  readonly reachable: true
  readonly last: Verification | null
  readonly running: { readonly startedAt: string; readonly rows: number; readonly of: number } | null
}
export type SyncStatus = Status & { readonly verification?: Verified | Unreachable }
