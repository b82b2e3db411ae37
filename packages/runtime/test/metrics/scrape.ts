import type { Metrics } from '../../src/index.ts'

/** One metric of a scrape. */
export interface Family {
  readonly name: string
  help: string
  type: string
  /** `name{label="value"}` → number, as they are written. */
  readonly samples: Map<string, number>
}

/** A scrape, read as Prometheus reads it. @throws Error on a line that is none of the format */
export async function scrape(metrics: Metrics): Promise<Map<string, Family>> {
  const families = new Map<string, Family>()
  const familyOf = (name: string) => {
    const family = families.get(name) ?? { name, help: '', type: '', samples: new Map<string, number>() }
    families.set(name, family)
    return family
  }
  for (const line of (await metrics.text()).split('\n')) {
    if (line === '') continue
    const [, what, about, text = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (about !== undefined) {
      familyOf(about)[what === 'HELP' ? 'help' : 'type'] = text
      continue
    }
    const [, name = '', labels = '', value = ''] =
      /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)$/.exec(line) ?? []
    if (name === '') throw new Error(`no line of Prometheus' format: ${line}`)
    const base = name.replace(/_(bucket|sum|count)$/, '')
    const family = families.get(name) ?? familyOf(families.get(base)?.type === 'histogram' ? base : name)
    family.samples.set(`${name}${labels}`, value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value))
  }
  return families
}

/** The value of a sample, such as `clinic_sync_leader`. */
export async function sample(metrics: Metrics, name: string): Promise<number | undefined> {
  for (const { samples } of (await scrape(metrics)).values()) if (samples.has(name)) return samples.get(name)
  return undefined
}
