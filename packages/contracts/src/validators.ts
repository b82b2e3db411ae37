import { Compile } from 'typebox/compile'
import { DoorbellTestResponse, QueueNotify, SupabaseWebhook, TriggerRequest } from './doorbell.ts'
import { SyncEvent } from './event.ts'
import { OutcomeBatch } from './outcome.ts'

/** Compiled once; `Check(value)` narrows, `Errors(value)` names the fields. */
export const syncEventValidator = Compile(SyncEvent)
export const outcomeBatchValidator = Compile(OutcomeBatch)

/** For callers without Fastify: its routes validate with the schemas themselves. */
export const queueNotifyValidator = Compile(QueueNotify)
export const supabaseWebhookValidator = Compile(SupabaseWebhook)
export const triggerRequestValidator = Compile(TriggerRequest)

/** For the doctor command, which reads the answer. */
export const doorbellTestResponseValidator = Compile(DoorbellTestResponse)
