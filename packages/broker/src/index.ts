export { brokerAddress, type BrokerAddress } from './address.ts'
export * from './api.ts'
export {
  type BoxedLetter,
  browseDeadLetters,
  type DeadLetterBox,
  deadLetterQueues,
  type OpenBoxOptions,
  openDeadLetterBox,
  type OpenedLetter,
} from './dead-letters/box.ts'
export { contentOf, directionOf, openSender, type Sender, type SenderOptions } from './dead-letters/send.ts'
export { connectBroker } from './broker.ts'
export { type DefinitionsOptions, rabbitmqDefinitions } from './definitions.ts'
export { PublishError } from './errors.ts'
export { startEventConsumer, type EventConsumerOptions, type Step } from './event-consumer.ts'
export { deadCopy, type DeadCopyOptions } from './failed.ts'
export {
  type About,
  type DeadLetter,
  derivedDeadId,
  HEADER,
  newDeadId,
  readDeadLetter,
  TRACE_HEADERS,
} from './headers.ts'
export { type BrokerFacts, inspectBroker, type InspectBrokerOptions, type QueueFacts } from './inspect.ts'
export { type BrokerManagement, brokerManagement, type ManagedQueue, type ManagementOptions } from './management.ts'
export { declareBroker, type DeclareBrokerOptions, type DeclaredBroker } from './prepare.ts'
export {
  BROKER_RIGHTS,
  BROKER_USERS,
  type BrokerUser,
  type Permissions,
  type TopicPermissions,
  type UserRights,
} from './permissions.ts'
export {
  DEAD,
  deadKey,
  deadQueue,
  DIRECTIONS,
  DISCARDED,
  discardedKey,
  eventQueue,
  eventQueues,
  EVENTS,
  NOTE,
  outcomeQueue,
  queueDefinitions,
  rejectedQueue,
  RETRY_DELAYS_MS,
  retryQueue,
  UNROUTED,
} from './topology.ts'
export { inSpan } from './trace.ts'
export { type RecordSight, watchRecord, type WatchRecordOptions } from './watch-record.ts'
export { watchOutcomes, type WatchOutcomesOptions } from './watch-outcomes.ts'
export { type Watch } from './watching.ts'
