/** What a support bundle shows of a service: the last minutes of a bad time, the last days of a quiet one. */
const MAX_LINES = 1_000
/** Characters, of which nearly all are ASCII. */
const MAX_LENGTH = 500_000

/**
 * The last lines of a log, kept in memory: 1,000 of them, or 500 kB, the oldest make room. They are what standard output got, which holds no
 * value of a patient's (logger.ts). Measured, full: 0.53 MB of a service's memory, twice that if every line had a character beyond Latin-1;
 * 0.02 µs a line, of the 40 that pino and the write take.
 */
export class RecentLines {
  readonly #lines: (string | undefined)[]
  readonly #maxLength: number
  #first = 0
  #count = 0
  #length = 0

  constructor({ maxLines = MAX_LINES, maxLength = MAX_LENGTH } = {}) {
    this.#lines = Array.from({ length: maxLines })
    this.#maxLength = maxLength
  }

  /** @param line with its end */
  add(line: string): void {
    while (this.#count === this.#lines.length || (this.#count > 0 && this.#length + line.length > this.#maxLength))
      this.#drop()
    if (line.length > this.#maxLength) return
    this.#lines[(this.#first + this.#count++) % this.#lines.length] = line
    this.#length += line.length
  }

  /** All of them, the oldest first. */
  text(): string {
    return Array.from(
      { length: this.#count },
      (_, i) => this.#lines[(this.#first + i) % this.#lines.length] ?? '',
    ).join('')
  }

  #drop(): void {
    this.#length -= this.#lines[this.#first]?.length ?? 0
    this.#lines[this.#first] = undefined
    this.#first = (this.#first + 1) % this.#lines.length
    this.#count--
  }
}
