/** The parts of the system, in the order in which they are shown. */
export const AREAS = ['settings', 'clinic', 'portal', 'broker', 'ingress', 'doorbells'] as const
export type Area = (typeof AREAS)[number]

/** One thing that was looked at. */
export interface Check {
  /** Stable, such as `clinic.nested-triggers`. */
  readonly id: string
  readonly area: Area
  /** What should hold, in plain words. */
  readonly title: string
  readonly status: 'ok' | 'warn' | 'fail'
  /** Names, counts, versions, limits; never a patient's value, a secret, or a URL with credentials. */
  readonly found: string
  /** The one thing to do: a statement, a command, a step. Null where all is well. */
  readonly todo: string | null
}

/** Makes the checks of an area. An id is the area's name and a word. */
export function checksOf(area: Area) {
  const make = (status: Check['status'], word: string, title: string, found: string, todo: string | null): Check => ({
    id: `${area}.${word}`,
    area,
    title,
    status,
    found,
    todo,
  })
  return {
    ok: (word: string, title: string, found: string) => make('ok', word, title, found, null),
    warn: (word: string, title: string, found: string, todo: string) => make('warn', word, title, found, todo),
    fail: (word: string, title: string, found: string, todo: string) => make('fail', word, title, found, todo),
  }
}

/**
 * Whether what fails here may well do so because of something else that fails, and is cured with it: the ingress is not ready, a
 * ring is not heard, nobody drains or consumes.
 */
export const isConsequence = ({ id }: Pick<Check, 'id'>): boolean =>
  /^(clinic|portal)\.outbox$|^broker\.consumers\.|^ingress\.ready$|^doorbells\.\w+\.heard$/.test(id)

/** `1 row`, `2 rows`. */
export const counted = (n: number, one: string, many = `${one}s`): string =>
  `${n.toLocaleString('en')} ${n === 1 ? one : many}`

/** An age for people, from seconds. */
export function aged(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 5_400) return `${Math.round(seconds / 60)} minutes`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} hours` : `${Math.round(seconds / 86_400)} days`
}
