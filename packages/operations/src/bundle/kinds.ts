/** Kinds of characters, as far as databases and drivers treat them differently. */
const KINDS = [
  ['U+0000', /\0/],
  ['control characters', /(?![\0\t\n\r])\p{Cc}/u],
  ['line ends', /[\n\r\u2028\u2029]/],
  ['tabs', /\t/],
  ['blanks at the start', /^\s/],
  ['blanks at the end', /\s$/],
  ['blanks', /\S\s+\S/],
  ['digits 0-9', /[0-9]/],
  ['other digits', /(?![0-9])\p{Nd}/u],
  ['latin letters', /[A-Za-z]/],
  ['latin letters with marks', /(?![A-Za-z])\p{Script=Latin}/u],
  ['arabic letters', /(?=\p{L})\p{Script=Arabic}/u],
  ['other letters', /(?!\p{Script=Latin}|\p{Script=Arabic})\p{L}/u],
  ['combining marks', /\p{M}/u],
  ['emoji', /\p{Extended_Pictographic}/u],
  ['other characters beyond U+FFFF', /(?!\p{Extended_Pictographic})[\u{10000}-\u{10FFFF}]/u],
  ['marks of direction', /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/],
  ['joiners and other invisible ones', /(?![\u200e\u200f\u202a-\u202e\u2066-\u2069])\p{Default_Ignorable_Code_Point}/u],
  ['punctuation', /(?!\p{Extended_Pictographic})[\p{P}\p{S}]/u],
  ['unpaired surrogate', /\p{Surrogate}/u],
  ['not in the composed form (NFC)', null],
] as const
export type Kind = (typeof KINDS)[number][0] | 'minus sign'

/** Which kinds of characters a text has, not how many of each nor where. */
export const kindsIn = (text: string): Kind[] =>
  KINDS.filter(([, pattern]) => (pattern === null ? text.normalize('NFC') !== text : pattern.test(text))).map(
    ([kind]) => kind,
  )
