export { start, type StartOptions } from './start.ts'
