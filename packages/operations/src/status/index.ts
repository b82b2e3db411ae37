export { openDeadLetterLook } from './dead-letter-look.ts'
export { gatherStatus, type StatusSources } from './gather.ts'
export { duration } from './problems.ts'
export { deadCauses, together } from './queues.ts'
