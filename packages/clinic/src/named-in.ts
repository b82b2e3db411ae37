/**
 * The names in SQL Server's English messages (sys.messages 515, 547, 2601, 2627, 2628), each from the message's fixed
 * beginning, which comes before any column's value. Quotes end a name, so nothing behind it is taken along.
 */
const NAMES: ReadonlyMap<number, RegExp> = new Map([
  [515, /^Cannot insert the value NULL into column '(?<column>[^'"]+)', table '(?<table>[^'"]+)'/],
  [
    547,
    /^The \w+ statement conflicted with the (?<kind>[A-Z ]+) constraint "(?<constraint>[^'"]+)"\. The conflict occurred in database "[^'"]+", table "(?<table>[^'"]+)"(?:, column '(?<column>[^'"]+)')?/,
  ],
  [2601, /^Cannot insert duplicate key row in object '(?<table>[^'"]+)' with unique index '(?<constraint>[^'"]+)'/],
  [
    2627,
    /^Violation of [A-Z ]+ constraint '(?<constraint>[^'"]+)'\. Cannot insert duplicate key in object '(?<table>[^'"]+)'/,
  ],
  [2628, /^String or binary data would be truncated in table '(?<table>[^'"]+)', column '(?<column>[^'"]+)'/],
])

/** What a message names. All missing where it is not one of those known, or in another language. */
export interface Named {
  readonly table?: string | undefined
  readonly column?: string | undefined
  readonly constraint?: string | undefined
  /** Of 547: `FOREIGN KEY`, `CHECK`, `REFERENCE` (a row that others refer to is deleted). */
  readonly kind?: string | undefined
}

export const namedIn = (number: number, message: string): Named => NAMES.get(number)?.exec(message)?.groups ?? {}

/** `, constraint C, table T, column D`, as far as known. */
export const inWords = ({ constraint, table, column }: Named): string =>
  Object.entries({ constraint, table, column })
    .map(([what, name]) => (name === undefined ? '' : `, ${what} ${name}`))
    .join('')
