/** A value as the sample holds it: dates and times as ISO text, decimals as digits. */
export type SampleValue = string | number | boolean | null

export type SampleRow = Readonly<Record<string, SampleValue>>

/** One clinic table: rows by the clinic's column names, every row with the same columns in the same order. */
export interface SampleTable {
  readonly name: string
  /** The IDENTITY column, which is always given. */
  readonly key: string
  readonly rows: readonly SampleRow[]
}
