import { Compile } from 'typebox/compile'
import { SyncEvent } from './event.ts'
import { OutcomeBatch } from './outcome.ts'

/** Compiled once; `Check(value)` narrows, `Errors(value)` names the fields. */
export const syncEventValidator = Compile(SyncEvent)
export const outcomeBatchValidator = Compile(OutcomeBatch)
