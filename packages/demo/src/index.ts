export * from './compare.ts'
export { hasPatients, type Loaded, loadSampleClinic } from './load.ts'
export * from './sample/model.ts'
export { SAMPLE_SEED, sampleClinic } from './sample-clinic.ts'
