export * from './api.ts'
export { connectBroker } from './broker.ts'
export { PublishError } from './errors.ts'
export { startEventConsumer, type EventConsumerOptions, type Step } from './event-consumer.ts'
export { type BrokerFacts, inspectBroker, type InspectBrokerOptions, type QueueFacts } from './inspect.ts'
export {
  deadQueue,
  DIRECTIONS,
  eventQueue,
  eventQueues,
  outcomeQueue,
  RETRY_DELAYS_MS,
  retryQueue,
  UNROUTED,
} from './topology.ts'
export { watchOutcomes, type OutcomeWatch, type WatchOutcomesOptions } from './watch-outcomes.ts'
