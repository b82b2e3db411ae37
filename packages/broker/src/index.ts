export * from './api.ts'
export { connectBroker } from './broker.ts'
export { PublishError } from './errors.ts'
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
