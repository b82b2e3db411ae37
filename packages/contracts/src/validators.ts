import { Compile } from 'typebox/compile'
import { DoorbellTestResponse, QueueNotify, SupabaseWebhook, TriggerRequest } from './doorbell.ts'
import { SyncEvent } from './event.ts'
import { LeaderAnswer, LeaderQuestion, PassedRing } from './leading.ts'
import { OutcomeBatch } from './outcome.ts'
import { SyncStatus } from './status.ts'

/** Compiled once; `Check(value)` narrows, `Errors(value)` names the fields. */
export const syncEventValidator = Compile(SyncEvent)
export const outcomeBatchValidator = Compile(OutcomeBatch)

/** What ingresses say to each other. */
export const passedRingValidator = Compile(PassedRing)
export const leaderQuestionValidator = Compile(LeaderQuestion)
export const leaderAnswerValidator = Compile(LeaderAnswer)

/** For callers without Fastify: its routes validate with the schemas themselves. */
export const queueNotifyValidator = Compile(QueueNotify)
export const supabaseWebhookValidator = Compile(SupabaseWebhook)
export const triggerRequestValidator = Compile(TriggerRequest)

/** For the doctor command, which reads the answer. */
export const doorbellTestResponseValidator = Compile(DoorbellTestResponse)

/** For the status command, which reads the answer. */
export const syncStatusValidator = Compile(SyncStatus)
