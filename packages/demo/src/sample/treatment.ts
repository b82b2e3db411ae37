import type { SampleRow } from './model.ts'
import { DOCTORS } from './names.ts'
import { PATIENTS } from './people.ts'
import { dateAfter, type Random } from './random.ts'
import { DIFFICULT_DATES, DIFFICULT_DATETIME2, DIFFICULT_DATETIMES, DIFFICULT_NOTES, NOTES } from './texts.ts'

/** Kinds of work that are aligner treatment; a set may belong to one of these only. */
const ALIGNER_WORK = [19, 20, 21]
const WORKS = 420
const SETS = 150
const BATCHES = 600
const NOTE_COUNT = 960

/** Every third patient or so has aligner work; some of that has no set yet, so that patients outside the scope exist. */
export function works(random: Random): SampleRow[] {
  return Array.from({ length: WORKS }, (_, i) => {
    const Currency = random.pick(['IQD', 'USD'])
    const start = dateAfter('2018-01-01', random.int(0, 2_500))
    return {
      workid: i + 1,
      PersonID: (i % PATIENTS) + 1,
      TotalRequired: Currency === 'USD' ? random.int(200, 4_000) : random.int(300, 5_000) * 1_000,
      Currency,
      Typeofwork: i % 5 < 2 ? (ALIGNER_WORK[i % 3] ?? 19) : random.int(1, 18),
      Notes: random.pick([null, '', 'تقويم شفاف', 'Second phase']),
      AdditionDate:
        i < DIFFICULT_DATETIME2.length * 5 && i % 5 === 0
          ? edge(DIFFICULT_DATETIME2, i / 5)
          : `${start}T09:${10 + (i % 50)}:59`,
      StartDate: random.chance(0.8) ? start : null,
      DebondDate: random.chance(0.2) ? dateAfter(start, 700) : null,
      DrID: random.int(1, 4),
      Status: random.pick([1, 1, 2, 3]),
      Discount: random.pick([null, null, 0, 50]),
    }
  })
}

/** Sets go to aligner work only; some works have two or three. */
export function sets(random: Random, allWorks: readonly SampleRow[]): SampleRow[] {
  const aligner = allWorks.filter((work) => ALIGNER_WORK.includes(Number(work.Typeofwork)))
  const used = aligner.slice(0, Math.floor(aligner.length * 0.75))
  return Array.from({ length: SETS }, (_, i) => {
    const work = used[i % used.length]
    const upper = random.int(0, 24)
    const lower = random.int(0, 24)
    const Currency = i % 2 === 0 ? 'USD' : 'IQD'
    return {
      AlignerSetID: i + 1,
      WorkID: Number(work?.workid),
      SetSequence: Math.floor(i / used.length) + 1,
      Type: random.pick(['Initial', 'Refinement', 'تعديل', null, '']),
      UpperAlignersCount: random.chance(0.05) ? null : upper,
      LowerAlignersCount: lower,
      RemainingUpperAligners: random.int(0, upper),
      RemainingLowerAligners: random.chance(0.05) ? null : random.int(0, lower),
      CreationDate:
        i < DIFFICULT_DATES.length ? edge(DIFFICULT_DATES, i) : dateAfter('2021-01-01', random.int(0, 1_500)),
      Days: random.pick([7, 10, 14, null, 0]),
      IsActive: random.pick([true, true, false, null]),
      Notes: random.pick([null, '', 'Check bite ', 'مراجعة بعد شهر', 'x'.repeat(255)]),
      FolderPath: random.pick([null, `\\\\clinic-pc\\Aligner\\${i + 1}\\مجلد`, '']),
      AlignerDrID: (i % DOCTORS.length) + 1,
      SetUrl:
        i === 3
          ? `https://aligners.example/${'u'.repeat(1_975)}`
          : random.pick([null, `https://aligners.example/s/${i}?a=1&b=%20`]),
      SetPdfUrl: random.pick([null, `https://aligners.example/s/${i}.pdf`]),
      SetVideo: null,
      SetCost: cost(i, Currency),
      Currency: i % 10 === 9 ? null : Currency,
      PdfUploadedAt:
        i < DIFFICULT_DATETIMES.length ? edge(DIFFICULT_DATETIMES, i) : random.pick([null, '2025-03-30T17:05:33.337']),
      PdfUploadedBy: random.pick([null, 'admin', 'سكرتيرة']),
      DriveFileId: random.pick([null, '', '1aB-_z']),
      ArchformID: random.pick([null, 4000 + i]),
    }
  })
}

/** Every tenth set has no cost (and so no payments row in the portal); one costs as much as the column holds. */
function cost(i: number, currency: string): string | null {
  if (i % 10 === 7) return null
  if (i === 1) return '99999999.99'
  return currency === 'USD' ? `${400 + i * 10}.50` : `${(500 + i * 10) * 1_000}.00`
}

/** A delivery is reckoned with (the expiry date), which engines other than SQL Server do from 1753 on only. */
const DELIVERY_DATES = DIFFICULT_DATES.filter((date) => date === null || date > '1753')

export function batches(random: Random): SampleRow[] {
  return Array.from({ length: BATCHES }, (_, i) => {
    const made = dateAfter('2023-01-01', random.int(0, 900))
    const delivered = i < DELIVERY_DATES.length ? edge(DELIVERY_DATES, i) : dateAfter(made, random.int(3, 20))
    const first = Math.floor(i / SETS) * 6 + 1
    return {
      AlignerBatchID: i + 1,
      AlignerSetID: (i % SETS) + 1,
      BatchSequence: Math.floor(i / SETS) + 1,
      UpperAlignerCount: random.int(1, 6),
      LowerAlignerCount: random.int(0, 6),
      UpperAlignerStartSequence: random.chance(0.1) ? null : first,
      LowerAlignerStartSequence: random.chance(0.1) ? null : first,
      ManufactureDate: i < DIFFICULT_DATES.length ? edge(DIFFICULT_DATES, i) : random.chance(0.9) ? made : null,
      DeliveredToPatientDate: i >= SETS * 3 && random.chance(0.6) ? null : delivered,
      Days: random.pick([7, 10, 14, 15, null]),
      Notes: random.pick([null, '', 'مستعجل', 'Sent with "driver" 🚗 ']),
      IsActive: random.pick([true, false, null]),
      IsLast: i >= SETS * 3,
      HasUpperTemplate: random.chance(0.3),
      HasLowerTemplate: random.chance(0.3),
      CreationDate: `${made}T12:00:00.000`,
    }
  })
}

export function notes(random: Random): SampleRow[] {
  return Array.from({ length: NOTE_COUNT }, (_, i) => {
    const day = dateAfter('2024-01-01', random.int(0, 700))
    const edited = random.chance(0.2)
    return {
      NoteID: i + 1,
      AlignerSetID: random.int(1, SETS),
      NoteType: random.pick(['Lab', 'Doctor']),
      NoteText: DIFFICULT_NOTES[i] ?? random.pick(NOTES).replaceAll('%n', String(random.int(1, 9))),
      CreatedAt:
        i < DIFFICULT_DATETIMES.length
          ? edge(DIFFICULT_DATETIMES, i)
          : `${day}T${10 + (i % 14)}:30:${10 + (i % 50)}.${['000', '003', '337', '997'][i % 4]}`,
      IsEdited: edited ? true : random.pick([false, null]),
      EditedAt: edited ? `${day}T23:59:59.997` : null,
      IsRead: random.chance(0.5),
    }
  })
}

/**
 * Payments. Of every five sets with a cost, two are paid (one in two parts), one partly, one overpaid and one not at
 * all; one payment is for other work and belongs to no set.
 */
export function invoices(random: Random, allSets: readonly SampleRow[]): SampleRow[] {
  const payments: { set: SampleRow | undefined; amount: number }[] = []
  allSets.forEach((set, i) => {
    if (set.SetCost === null) return
    // What is paid in all must fit decimal(10,2) as the cost does.
    const due = Math.min(Math.ceil(Number(set.SetCost)), 99_999_999)
    const amounts =
      [[due], [Math.floor(due / 2), Math.ceil(due / 2)], [Math.floor(due / 3)], [due + 25], []][i % 5] ?? []
    for (const amount of amounts) payments.push({ set, amount })
    if (i % 20 === 0) payments.push({ set: undefined, amount: 100 })
  })
  return payments.map(({ set, amount }, i) => ({
    invoiceID: i + 1,
    workid: Number(set?.WorkID ?? 1),
    Amountpaid: amount,
    Dateofpayment: dateAfter('2024-01-01', random.int(0, 700)),
    AlignerSetID: set === undefined ? null : Number(set.AlignerSetID),
  }))
}

function edge<T>(values: readonly T[], i: number): T {
  const value = values[i]
  if (value === undefined) throw new RangeError(`No boundary value ${i}.`)
  return value
}
