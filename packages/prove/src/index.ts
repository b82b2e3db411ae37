export { holds } from './end/report.ts'
export { type Proof, prove, type ProveOptions } from './prove.ts'
