import { ownLines } from '@clinic-sync/operations'
import { parseAddresses, type Settings } from '@clinic-sync/runtime'
import { type Answer, get, type Service } from './ask.ts'
import { ingressTells } from './ingress.ts'
import { type Collected, type Entry, json, type Missing, type Part } from './part.ts'

/** The health, metrics and last log lines of the ingress and of the consumers that HEALTH_URLS names; and what the ingress alone knows. */
export const servicesPart: Part = {
  what: 'the services',
  patienceMs: 20_000,
  async collect({ settings, signal }) {
    const services = servicesIn(settings)
    const found = await Promise.all(services.map((service) => ask(service, signal)))
    const missing = [...unnamed(settings), ...found.flatMap((each) => each.missing)]
    const states = Object.fromEntries(found.map(({ service, state }) => [service.name, state]))
    const about = 'whether each service answers, and what it says of its readiness'
    return {
      entries: [{ path: 'services.json', about, text: json(states) }, ...found.flatMap(({ entries }) => entries)],
      missing,
    }
  },
}

function servicesIn({ INGRESS_URL, SYNC_OPERATOR_TOKEN: token, HEALTH_URLS = '' }: Partial<Settings>): Service[] {
  const ingress = INGRESS_URL && {
    name: 'ingress',
    file: 'ingress',
    base: INGRESS_URL,
    logs: '/api/sync/logs',
    ...(token !== undefined && { token }),
  }
  const others = (parseAddresses(HEALTH_URLS) ?? []).map((base) => {
    const { host } = new URL(base)
    return { name: host, file: host.replaceAll(/[^\w.-]/g, '-').slice(0, 60), base, logs: '/logs' }
  })
  return ingress ? [ingress, ...others] : others
}

const OR_SAVED = 'Or add what was saved of it with --logs FILE.'

/** Who is not asked, since no setting says where they are. */
function unnamed({ INGRESS_URL, SYNC_OPERATOR_TOKEN, HEALTH_URLS = '' }: Partial<Settings>): Missing[] {
  return [
    ...(INGRESS_URL === undefined
      ? [{ what: 'the ingress', why: 'INGRESS_URL is missing or wrong, see settings.json.' }]
      : []),
    ...(SYNC_OPERATOR_TOKEN === undefined
      ? [{ what: "the ingress's log and metrics", why: 'SYNC_OPERATOR_TOKEN is missing or wrong, see settings.json.' }]
      : []),
    ...(HEALTH_URLS === ''
      ? [
          {
            what: "the consumers' state, logs and metrics",
            why: `HEALTH_URLS is not set: it names where the consumers answer on their HEALTH_PORT. ${OR_SAVED}`,
          },
        ]
      : []),
  ]
}

async function ask(service: Service, signal: AbortSignal) {
  const { name, file } = service
  const [ready, logs, metrics, told] = await Promise.all([
    get(service, '/readyz', signal),
    get(service, service.logs, signal),
    get(service, '/metrics', signal),
    service.name === 'ingress' && service.token !== undefined ? ingressTells(service, signal) : null,
  ])
  const entries: Entry[] = []
  const missing: Missing[] = []
  const add = (answer: Answer, what: string, entry: (text: string) => Entry) => {
    if (answer.status === 200) entries.push(entry(answer.text))
    else missing.push({ what: `${what} of ${name}`, why: answer.why + (what === 'the log' ? ` ${OR_SAVED}` : '') })
  }
  if (ready.status === null) missing.push({ what: `${name} (state, log, metrics)`, why: ready.why })
  else {
    add(logs, 'the log', (text) => ({
      path: `logs/${file}.jsonl`,
      about: `the last log lines of ${name}, at most 1,000`,
      text: ownLines(text)
        .lines.map((line) => `${line}\n`)
        .join(''),
    }))
    add(metrics, 'the metrics', (text) => ({
      path: `metrics/${file}.txt`,
      about: `the metrics of ${name} now: names and figures`,
      text: ownMetrics(text),
    }))
    entries.push(...(told?.entries ?? []))
    missing.push(...(told?.missing ?? []))
  }
  return {
    service,
    state: { ...stateIn(ready), ...(told && { versions: told.versions }) },
    entries,
    missing,
  } satisfies Collected & { service: Service; state: object }
}

/** Only what our own services say: something else may answer there. */
function stateIn({ status, text, why }: Answer): object {
  if (status === null) return { answers: false, why }
  const short = (value: unknown) => (typeof value === 'string' ? value.slice(0, 300) : null)
  try {
    const { status: says, checks, reasons } = JSON.parse(text) as Readonly<Record<string, unknown>>
    return {
      answers: true,
      status: short(says),
      ...(typeof checks === 'object' &&
        checks !== null && { checks: Object.fromEntries(Object.entries(checks).map(([k, v]) => [k, short(v)])) }),
      ...(Array.isArray(reasons) && { reasons: reasons.map(short) }),
    }
  } catch {
    return { answers: true, status: `something else: ${status}` }
  }
}

/** The lines that are ours, Node's or the process's; a label of theirs is a name of ours, or `other`. */
const ownMetrics = (text: string): string =>
  text
    .split('\n')
    .filter((line) => /^(# (HELP|TYPE) )?(clinic_sync|nodejs|process)_/.test(line))
    .map((line) => `${line}\n`)
    .join('')
