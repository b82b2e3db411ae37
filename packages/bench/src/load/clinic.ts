import type { SampleRow, SampleTable } from '@clinic-sync/demo'

/** How many rows each table of a clinic has. Each of the invoices makes a record of `aligner_set_payments`. */
export interface Extent {
  readonly doctors: number
  readonly patients: number
  readonly works: number
  readonly sets: number
  readonly batches: number
  readonly notes: number
  readonly payments: number
}

/**
 * A clinic with so many synced records in all, in the proportions of the sample clinic: a case has a patient, a work and a
 * set, every second one more batches and notes.
 */
export function extentOf(records: number): Extent {
  const doctors = Math.max(1, Math.round(records * 0.002))
  const cases = Math.round(records * 0.14)
  const payments = Math.round(records * 0.08)
  const batches = Math.round(records * 0.26)
  return {
    doctors,
    patients: cases,
    works: cases,
    sets: cases,
    batches,
    payments,
    notes: records - doctors - 3 * cases - batches - payments,
  }
}

const rows = (count: number, row: (i: number) => SampleRow) => Array.from({ length: count }, (_, i) => row(i))

/** The clinic's tables with invented rows of ordinary length, parents before children. */
export function clinicOf(extent: Extent): SampleTable[] {
  const { doctors, patients, works, sets, batches, notes, payments } = extent
  return [
    {
      name: 'AlignerDoctors',
      key: 'DrID',
      rows: rows(doctors, (i) => ({
        DrID: i + 1,
        DoctorName: `Dr. Noor ${i + 1}`,
        DoctorEmail: `doctor${i + 1}@example.com`,
        LogoPath: null,
      })),
    },
    {
      name: 'tblpatients',
      key: 'PersonID',
      rows: rows(patients, (i) => ({
        PersonID: i + 1,
        patientID: `A${i % 9_999}`,
        PatientName: `ليلى ${i + 1} العبيدي`,
        FirstName: 'ليلى',
        LastName: 'العبيدي',
        Phone: `0770 ${1_000_000 + (i % 9_000_000)}`,
      })),
    },
    {
      name: 'tblwork',
      key: 'workid',
      rows: rows(works, (i) => ({
        workid: i + 1,
        PersonID: (i % patients) + 1,
        TotalRequired: 1_500,
        Typeofwork: 19 + (i % 3),
        AdditionDate: '2024-03-01T10:00:00',
        DrID: 1,
        Status: 1,
      })),
    },
    {
      name: 'tblAlignerSets',
      key: 'AlignerSetID',
      rows: rows(sets, (i) => ({
        AlignerSetID: i + 1,
        WorkID: (i % works) + 1,
        SetSequence: Math.floor(i / works) + 1,
        Type: 'Initial',
        UpperAlignersCount: 18,
        LowerAlignersCount: 16,
        RemainingUpperAligners: 9,
        RemainingLowerAligners: 8,
        CreationDate: '2024-03-02',
        Days: 10,
        IsActive: true,
        Notes: 'Check bite',
        FolderPath: `\\\\clinic-pc\\Aligner\\${i + 1}`,
        AlignerDrID: (i % doctors) + 1,
        SetUrl: `https://aligners.example/s/${i + 1}`,
        // A set without a cost has no record of its payments.
        SetCost: i < payments ? '1200.00' : null,
        Currency: 'USD',
      })),
    },
    {
      name: 'tblAlignerBatches',
      key: 'AlignerBatchID',
      rows: rows(batches, (i) => ({
        AlignerBatchID: i + 1,
        AlignerSetID: (i % sets) + 1,
        BatchSequence: Math.floor(i / sets) + 1,
        UpperAlignerCount: 6,
        LowerAlignerCount: 5,
        UpperAlignerStartSequence: 1,
        LowerAlignerStartSequence: 1,
        ManufactureDate: '2024-03-10',
        DeliveredToPatientDate: '2024-03-20',
        Days: 10,
        Notes: 'مستعجل',
        IsActive: true,
        IsLast: false,
        HasUpperTemplate: false,
        HasLowerTemplate: false,
        CreationDate: '2024-03-10T12:00:00.000',
      })),
    },
    {
      name: 'tblAlignerNotes',
      key: 'NoteID',
      rows: rows(notes, (i) => ({
        NoteID: i + 1,
        AlignerSetID: (i % sets) + 1,
        NoteType: 'Doctor',
        NoteText: `Please check the attachment on tooth ${(i % 32) + 1}; the patient comes on Thursday. شكراً`,
        CreatedAt: '2024-04-01T10:30:10.337',
        IsEdited: false,
        IsRead: i % 2 === 0,
      })),
    },
    {
      name: 'tblInvoice',
      key: 'invoiceID',
      rows: rows(payments, (i) => ({
        invoiceID: i + 1,
        workid: (i % works) + 1,
        Amountpaid: 100,
        Dateofpayment: '2024-04-01',
        AlignerSetID: i + 1,
      })),
    },
  ]
}
