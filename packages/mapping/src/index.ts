export { GENERATED_HEADER } from './generated.ts'
export * from './tables/index.ts'
export * from './types.ts'
