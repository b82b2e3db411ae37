import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Child, startChild, untilReady } from '@clinic-sync/demo'
import { freePorts } from '@clinic-sync/dev-services/chaos'
import { byWayOf, openProxy, placeOf, type Proxy } from '@clinic-sync/dev-services/proxy'
import { type Server, SERVERS, type Service, SERVICES } from '@clinic-sync/prove/parts'

export interface CrewOptions {
  readonly addresses: Readonly<Record<Server, string>>
  readonly timeZone: string
  /** Holds the logs. */
  readonly folder: string
}

/** How a service is started. */
export interface Manner {
  /** It kills itself there: see `process/hooks.ts`. */
  readonly step?: string
  /** Of an ingress: it hears by HTTP only, and nobody rings unless told to. */
  readonly byHttp?: boolean
}

export interface Member {
  readonly service: Service
  readonly child: Child
  readonly port: number
  /** Where an ingress answers; a consumer's health. */
  readonly url: string
}

const SETTING: Readonly<Record<Server, string>> = {
  clinic: 'SQLSERVER_URL',
  portal: 'POSTGRES_URL',
  rabbit: 'RABBITMQ_URL',
}

/** Readiness is waited for on a machine that does other things as well. */
const READY_MS = 60_000

/** The real services as processes, one or several of each, with a proxy on each way from a service to a server. */
export class Crew {
  readonly secret = randomBytes(24).toString('hex')
  readonly operatorToken = randomBytes(24).toString('hex')
  readonly #options: CrewOptions
  readonly #proxies = new Map<string, Proxy>()
  readonly #members = new Set<Member>()
  readonly #died: string[] = []
  #closed = false

  private constructor(options: CrewOptions) {
    this.#options = options
  }

  static async open(options: CrewOptions): Promise<Crew> {
    const crew = new Crew(options)
    for (const service of SERVICES) {
      for (const server of SERVERS[service]) {
        const place = placeOf(options.addresses[server])
        if (place === null) throw new RangeError(`no proxy can stand before ${server}`)
        crew.#proxies.set(`${service} ${server}`, await openProxy(place.host, place.port))
      }
    }
    return crew
  }

  /** The way from a service to a server. */
  way(service: Service, server: Server): Proxy {
    const proxy = this.#proxies.get(`${service} ${server}`)
    if (proxy === undefined) throw new RangeError(`${service} does not talk to ${server}`)
    return proxy
  }

  /** Services that ended though nobody had asked them to, with the last lines of their logs; each is told once. */
  takeDied(): string[] {
    return this.#died.splice(0)
  }

  of(service: Service): readonly Member[] {
    return [...this.#members].filter((member) => member.service === service)
  }

  get all(): readonly Member[] {
    return [...this.#members]
  }

  /** Starts a service, beside those that are there. Returns at once. */
  async start(service: Service, manner: Manner = {}): Promise<Member> {
    // Out of the range that the proxies and all outgoing connections take theirs from.
    const [port = 0] = await freePorts(1)
    if (this.#closed) throw new Error('Stopping.')
    const child = startChild({
      name: service,
      script: 'packages/chaos/src/process/main.ts',
      settings: this.#settings(service, port, manner),
      folder: this.#options.folder,
    })
    const member: Member = { service, child, port, url: `http://127.0.0.1:${port}` }
    this.#members.add(member)
    void child.ended.then(({ asked }) => {
      this.#members.delete(member)
      if (!asked && manner.step === undefined)
        this.#died.push(`${service} has ended by itself. Its last log lines:\n${child.tail(5)}`)
    })
    return member
  }

  /** As a crash. Resolves when the process is gone. */
  async kill(member: Member): Promise<void> {
    member.child.signal('SIGKILL')
    await member.child.ended
  }

  ready({ child, port }: Member): Promise<void> {
    return untilReady(child, port, READY_MS)
  }

  /** At least one of each service; returns at once. */
  async startMissing(): Promise<void> {
    for (const service of SERVICES) if (this.of(service).length === 0) await this.start(service)
  }

  /** At least one of each service, all of them ready. @throws Error with the last log lines of one that is not */
  async everybodyUp(): Promise<void> {
    await this.startMissing()
    await Promise.all([...this.#members].map((member) => this.ready(member)))
  }

  /** Every way, with its name. */
  get ways(): readonly (readonly [name: string, way: Proxy])[] {
    return [...this.#proxies]
  }

  /** What an operator does after an outage: both outboxes are drained. @throws Error if the ingress does not do it */
  async trigger(): Promise<void> {
    const [ingress] = this.of('ingress')
    if (ingress === undefined) throw new Error('there is no ingress to trigger')
    const answer = await fetch(`${ingress.url}/api/sync/trigger`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.operatorToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ direction: 'both' }),
    })
    await answer.body?.cancel()
    if (!answer.ok) throw new Error(`the operator's trigger was answered with ${answer.status}`)
  }

  /** Ends all but one of each service. */
  async oneOfEach(): Promise<void> {
    for (const service of SERVICES) {
      const [, ...others] = this.of(service)
      await Promise.all(others.map(({ child }) => child.stop()))
    }
  }

  /** Bytes of memory of each service, by its name; the largest where there are several. */
  async memory(): Promise<Readonly<Record<Service, number>>> {
    const sizes = { ingress: 0, 'sql-to-postgres': 0, 'postgres-to-sql': 0 }
    for (const { service, child } of this.#members)
      if (child.pid !== undefined) sizes[service] = Math.max(sizes[service], await residentBytes(child.pid))
    return sizes
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#members].map(({ child }) => child.stop()))
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()))
  }

  #settings(service: Service, port: number, { step, byHttp = false }: Manner): Record<string, string> {
    const settings: Record<string, string> = {
      CHAOS_SERVICE: service,
      ...(step === undefined ? {} : { CHAOS_STEP: step }),
      CLINIC_TIME_ZONE: this.#options.timeZone,
      SYNC_WEBHOOK_SECRET: this.secret,
      SYNC_OPERATOR_TOKEN: this.operatorToken,
      CLINIC_DOORBELL: byHttp ? 'http' : 'service-broker',
      PORTAL_DOORBELL: byHttp ? 'webhook' : 'listen',
      [service === 'ingress' ? 'INGRESS_PORT' : 'HEALTH_PORT']: String(port),
      LOG_LEVEL: 'info',
    }
    for (const server of SERVERS[service])
      settings[SETTING[server]] = byWayOf(this.#options.addresses[server], this.way(service, server).port)
    return settings
  }
}

/** Freezes a process as a machine that swaps. */
export async function freeze({ child }: Member, ms: number): Promise<void> {
  child.signal('SIGSTOP')
  await delay(ms)
  child.signal('SIGCONT')
}

async function residentBytes(pid: number): Promise<number> {
  const { readFile } = await import('node:fs/promises')
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024
}
