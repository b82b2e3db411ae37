import {
  AlertTestResponse,
  CountedMinutes,
  DoorbellTestResponse,
  LeaderAnswer,
  LeaderQuestion,
  OutcomeBatch,
  PassedRing,
  QueueNotify,
  SupabaseWebhook,
  SyncEvent,
  SyncStatus,
  TriggerRequest,
} from './schemas.ts'
import { validatorFor } from './validator.ts'

/** Made once; `Check(value)` narrows, `Errors(value)` names the fields. */
export const syncEventValidator = validatorFor<SyncEvent>(SyncEvent)
export const outcomeBatchValidator = validatorFor<OutcomeBatch>(OutcomeBatch)

/** What ingresses say to each other. */
export const passedRingValidator = validatorFor<PassedRing>(PassedRing)
export const leaderQuestionValidator = validatorFor<LeaderQuestion>(LeaderQuestion)
export const countedMinutesValidator = validatorFor<CountedMinutes>(CountedMinutes)
export const leaderAnswerValidator = validatorFor<LeaderAnswer>(LeaderAnswer)

/** For callers without Fastify: its routes validate with the schemas themselves. */
export const queueNotifyValidator = validatorFor<QueueNotify>(QueueNotify)
export const supabaseWebhookValidator = validatorFor<SupabaseWebhook>(SupabaseWebhook)
export const triggerRequestValidator = validatorFor<TriggerRequest>(TriggerRequest)

/** For the doctor command, which reads the answer. */
export const doorbellTestResponseValidator = validatorFor<DoorbellTestResponse>(DoorbellTestResponse)

/** For the alert-test command, which reads the answer. */
export const alertTestResponseValidator = validatorFor<AlertTestResponse>(AlertTestResponse)

/** For the status command, which reads the answer. */
export const syncStatusValidator = validatorFor<SyncStatus>(SyncStatus)
