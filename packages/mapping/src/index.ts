export * from './tables/index.ts'
export * from './types.ts'
