export * from './clinic.ts'
export * from './clinic-types.ts'
export * from './portal.ts'
export { sameOnWire, sameRow, sharedIn, sharedOf, storable, type Values } from './values.ts'
