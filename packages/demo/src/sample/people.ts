import type { SampleRow } from './model.ts'
import { ARABIC_FIRST, ARABIC_LAST, DOCTORS, LATIN_FIRST, LATIN_LAST, PHONE_PREFIXES } from './names.ts'
import { dateAfter, type Random } from './random.ts'
import { DIFFICULT_DATES } from './texts.ts'

export const PATIENTS = 360

export function doctors(): SampleRow[] {
  return DOCTORS.map(([DoctorName, DoctorEmail, LogoPath], i) => ({ DrID: i + 1, DoctorName, DoctorEmail, LogoPath }))
}

export function patients(random: Random): SampleRow[] {
  return Array.from({ length: PATIENTS }, (_, i) => patient(random, i))
}

function patient(random: Random, i: number): SampleRow {
  const arabic = random.chance(0.6)
  const first = random.pick(arabic ? ARABIC_FIRST : LATIN_FIRST)
  const last = random.pick(arabic ? ARABIC_LAST : LATIN_LAST)
  const born = i < DIFFICULT_DATES.length ? DIFFICULT_DATES[i] : dateAfter('1960-01-01', random.int(0, 20_000))
  return {
    PersonID: i + 1,
    patientID: random.pick([null, '', `A${1000 + i}`, `${i}`, 'ب12']),
    PatientName: PATIENT_NAMES[i] ?? `${first} ${last}`,
    Phone: phone(random),
    FirstName: random.chance(0.1) ? null : first,
    LastName: random.chance(0.1) ? random.pick([null, '', `${last} `]) : last,
    DateofBirth: born ?? null,
    Gender: random.pick([1, 2, null]),
    Phone2: random.chance(0.2) ? phone(random) : null,
    AddressID: random.pick([1, 2, 3, null]),
    DateAdded: `${dateAfter('2015-01-01', random.int(0, 3_600))}T${10 + (i % 10)}:${10 + (i % 50)}:00`,
    Email: random.chance(0.3) ? `patient${i + 1}@example.com` : null,
    Language: random.pick([0, 1, null]),
    Notes: random.pick([null, null, '', 'حساسية من النيكل', "Doesn't answer calls"]),
    CountryCode: random.pick(['+964', '+964', null]),
  }
}

/** The first patients have the names that a form, a CSV file or a collation would trip over. */
const PATIENT_NAMES: readonly string[] = [
  "Zain O'Brien-Al Hakim",
  'زين "أبو علي" العبيدي',
  'Lina 😀 Karim',
  'blank at the end ',
  ' blank at the start',
  'UPPER lower',
  'ن'.repeat(255),
  '😀'.repeat(127),
  'أَحْمَد مُحَمَّد',
  'Tab\there, newline\nthere',
]

/** An Iraqi mobile number, written as people do; sometimes two, none, or with a blank too many. */
function phone(random: Random): string | null {
  const prefix = random.pick(PHONE_PREFIXES)
  const rest = String(random.int(0, 9_999_999)).padStart(7, '0')
  const shape = random.int(0, 19)
  if (shape === 0) return null
  if (shape === 1) return ''
  if (shape === 2) return `+964 ${prefix.slice(1)} ${rest.slice(0, 3)} ${rest.slice(3)}`
  if (shape === 3) return `${prefix}${rest} / ${prefix}${rest.split('').reverse().join('')}`
  if (shape === 4) return `${prefix}-${rest.slice(0, 3)}-${rest.slice(3)} `
  if (shape === 5) return `٠${prefix.slice(1)}${rest} (الأم)`
  return `${prefix}${rest}`
}
