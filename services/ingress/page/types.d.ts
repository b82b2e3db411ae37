export type * from '../../../packages/contracts/src/definitions/page.ts'
export type * from '../../../packages/contracts/src/definitions/status.ts'
export type * from '../../../packages/contracts/src/definitions/value.ts'
export type * from '../../../packages/contracts/src/definitions/verification.ts'
export type { DoorbellTestResponse } from '../../../packages/contracts/src/definitions/doorbell.ts'
import type { Value } from '../../../packages/contracts/src/definitions/value.ts'

/** A record's story, as packages/operations tells it. */
export interface Story {
  readonly sections: readonly { readonly heading: string; readonly sentences: readonly string[] }[]
  /** `clinic` and `portal` where values were asked for. */
  readonly columns: readonly {
    readonly column: string
    readonly whose: string
    readonly equal: boolean | null
    readonly how: string | null
    readonly clinic?: Value
    readonly portal?: Value
  }[]
}
