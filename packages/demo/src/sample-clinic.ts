import type { SampleTable } from './sample/model.ts'
import { doctors, patients } from './sample/people.ts'
import { seeded } from './sample/random.ts'
import { batches, invoices, notes, sets, works } from './sample/treatment.ts'

/** The seed of the clinic that the demo shows. */
export const SAMPLE_SEED = 20_250_101

/**
 * An invented clinic, parents before children: 14 doctors, 360 patients (about a third of them with an aligner set),
 * 420 works, 150 sets, 600 batches, 960 notes and the payments of the sets. Shaped like a real clinic's data, boundary
 * values included; the same seed always gives the same rows. No two doctors share an address.
 */
export function sampleClinic(seed: number = SAMPLE_SEED): SampleTable[] {
  const random = seeded(seed)
  const people = patients(random)
  const work = works(random)
  const set = sets(random, work)
  return [
    { name: 'AlignerDoctors', key: 'DrID', rows: doctors() },
    { name: 'tblpatients', key: 'PersonID', rows: people },
    { name: 'tblwork', key: 'workid', rows: work },
    { name: 'tblAlignerSets', key: 'AlignerSetID', rows: set },
    { name: 'tblAlignerBatches', key: 'AlignerBatchID', rows: batches(random) },
    { name: 'tblAlignerNotes', key: 'NoteID', rows: notes(random) },
    { name: 'tblInvoice', key: 'invoiceID', rows: invoices(random, set) },
  ]
}
