import { readFileSync } from 'node:fs'
import type { Side, Versions } from '@clinic-sync/contracts'
import { bounded } from '@clinic-sync/operations'

/** How long what the databases have said is told again. Milliseconds. */
const KEPT_MS = 10 * 60_000
const PATIENCE_MS = 5_000

/** The version that is installed: this package's, which all packages share. */
const VERSION = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version

export interface PageVersionsOptions {
  /** The names of the migrations that each side has had. */
  readonly migrations: Readonly<Record<Side, () => Promise<readonly string[]>>>
  /** RabbitMQ's, of the connection that there is; null: there is none now. */
  readonly rabbitmq: () => string | null
  readonly doorbells: Readonly<Record<Side, string>>
  readonly keptMs?: number
}

/** Says what runs here. The databases are asked when somebody wants to know, and for ten minutes not again. */
export class PageVersions {
  readonly #options: PageVersionsOptions
  readonly #kept = new Map<Side, { readonly last: string | null; readonly at: number }>()

  constructor(options: PageVersionsOptions) {
    this.#options = options
  }

  async read(): Promise<Versions> {
    const { rabbitmq, doorbells } = this.#options
    const [clinic, portal] = await Promise.all([this.#last('clinic'), this.#last('portal')])
    return {
      version: VERSION,
      node: process.version,
      migrations: { clinic, portal },
      rabbitmq: rabbitmq(),
      doorbells: { clinic: doorbells.clinic, portal: doorbells.portal },
    }
  }

  async #last(side: Side): Promise<string | null> {
    const { migrations, keptMs = KEPT_MS } = this.#options
    const kept = this.#kept.get(side)
    if (kept !== undefined && performance.now() - kept.at < keptMs) return kept.last
    const found = await bounded(`The ${side}'s database`, migrations[side], PATIENCE_MS)
    // What is away is asked again the next time.
    if ('error' in found) return null
    const last = found.facts.toSorted().at(-1) ?? null
    this.#kept.set(side, { last, at: performance.now() })
    return last
  }
}

/** The names of the migrations among what `sync.Inspect` found. */
export const migrationsOf = (facts: ReadonlyMap<string, unknown>): string[] =>
  [...facts.keys()].flatMap((name) => (name.startsWith(MIGRATION) ? [name.slice(MIGRATION.length)] : []))
const MIGRATION = 'migration:'
