/** What doctors and the lab write about a set. `%n` is replaced by a small number. */
export const NOTES: readonly string[] = [
  'Please check attachment on tooth %n before the next batch.',
  'تم تسليم الدفعة رقم %n للمريض، يرجى المتابعة.',
  'Patient says aligner %n is tight 😬, keep 3 more days.',
  'المريض مرتاح والنتيجة ممتازة 👍🏽',
  'IPR 0.%n mm between 3 and 4, both sides.',
  'Can\'t find the scan for step %n; "upper" folder is empty?',
  'Refinement needed: الأسنان السفلية تحتاج دفعة إضافية (%n).',
  'Delivered.',
  'تغيير عدد الأيام إلى %n أيام لكل تقويم',
  'Lost aligner %n → go to the next one. Family 👨‍👩‍👧‍👦 informed.',
  'Line one\r\nLine two\r\n\tindented %n',
  'سعر المجموعة: ١٥٠٠٠٠٠ د.ع. / $%n00',
]

const fill = (piece: string, units: number) => piece.repeat(Math.ceil(units / piece.length)).slice(0, units)

/** Notes that a careless sync would lose, cut, fold or refuse. U+0000 is in one: the portal cannot store it. */
export const DIFFICULT_NOTES: readonly string[] = [
  '',
  ' ',
  'two trailing blanks  ',
  'TWO TRAILING BLANKS  ',
  'NUL\u0000inside and at the end\u0000',
  `Ten thousand of ours: ${fill('ملاحظة طويلة جداً عن حالة المريض. ', 10_000)}`,
  fill('🦷', 10_240),
  `${fill('0123456789', 10_239)}.`,
  "'; DELETE FROM tblAlignerNotes; --",
  '{"json": "\\u0041", "n": 12345678901234567890}',
  '\u200Fنص من اليمين\u200E then left \u202Eand override\u202C',
  'e\u0301 is not \u00E9, \uFB01 is not fi, ı is not i',
  'separators:\u2028\u2029\u0085\u000B\u000C\u001F\u007F',
  '\uFEFFbyte order mark first, not a character \uFFFF last',
  '\\N \\. $1 %s {0} @p1 \\',
  '𝒜 𠮷 🏴󠁧󠁢󠁥󠁮󠁧󠁿',
]

/** Wall-clock times at the ends of `datetime` (1753, 1/300 s), at changes of the clinic's zone, and none at all. */
export const DIFFICULT_DATETIMES: readonly (string | null)[] = [
  null,
  '1753-01-01T00:00:00.000',
  '9999-12-31T23:59:59.997',
  '1899-12-31T23:59:59.997',
  '1900-01-01T00:00:00.003',
  '1970-01-01T02:59:59.997',
  '2007-10-01T03:30:00.007',
  '2005-04-01T03:30:00.000',
  '2024-02-29T23:59:59.993',
]

/** The same for `datetime2(0)`, which begins in the year 1. */
export const DIFFICULT_DATETIME2: readonly (string | null)[] = [
  null,
  '0001-01-01T00:00:00',
  '0001-01-01T02:57:40',
  '1582-10-10T12:00:00',
  '1889-12-31T23:59:59',
  '1899-12-31T23:59:59',
  '9999-12-31T23:59:59',
  '2000-02-29T00:00:00',
]

/** The same for `date`. The last day that can be delivered must leave room for a batch's validity. */
export const DIFFICULT_DATES: readonly (string | null)[] = [
  null,
  '0001-01-01',
  '1582-10-10',
  '1752-09-03',
  '1899-12-31',
  '1900-02-28',
  '2000-02-29',
  '9990-01-31',
]
