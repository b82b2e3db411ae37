export { isHealthy, type Health } from './is-healthy.ts'
export { untilReachable, type Place } from './until-reachable.ts'
