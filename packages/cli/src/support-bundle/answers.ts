import { doctor } from '../doctor/doctor.ts'
import { currentStatus } from '../status/command.ts'
import { json, only, type Part } from './part.ts'

/** What `doctor --json` prints. */
export const doctorPart: Part = {
  what: 'doctor.json',
  patienceMs: 45_000,
  collect: async ({ environment }) =>
    only({
      path: 'doctor.json',
      about: '`doctor --json`: everything that the sync needs, looked at, with what to do about what is wrong',
      text: json(await doctor(environment)),
    }),
}

/** What `status --json` prints. */
export const statusPart: Part = {
  what: 'status.json',
  patienceMs: 60_000,
  collect: async ({ environment, signal }) =>
    only({
      path: 'status.json',
      about: '`status --json`: outboxes in figures, queues, dead letters by cause, doorbells, which ingress leads',
      text: json(await currentStatus(environment, signal)),
    }),
}
