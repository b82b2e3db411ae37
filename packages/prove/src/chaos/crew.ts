import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Child, freePort, startChild, untilReady } from '@clinic-sync/demo'
import { byWayOf, openProxy, placeOf, type Proxy } from '@clinic-sync/dev-services/proxy'
import { type Doorbells, doorbellsOf, type Server, type Service, SERVICES, SERVERS } from '../schedule/faults.ts'

export interface CrewOptions {
  readonly seed: number
  /** A server's address, with the login that a service has there. */
  readonly addressOf: (service: Service, server: Server) => string
  readonly timeZone: string
  /** Whether the clinic's engine has the Service Broker doorbell. */
  readonly serviceBroker: boolean
  /** Holds the logs. */
  readonly folder: string
}

export interface Ingress {
  readonly url: string
  readonly doorbells: Doorbells
}

interface Member {
  readonly child: Child
  readonly port: number
  readonly ingress: Ingress | null
}

const SETTING: Readonly<Record<Server, string>> = {
  clinic: 'SQLSERVER_URL',
  portal: 'POSTGRES_URL',
  rabbit: 'RABBITMQ_URL',
}

/** The real services, each a process of its own, each with its own ways to the servers, so that any of these can be cut. */
export class Crew {
  readonly secret = randomBytes(24).toString('hex')
  readonly operatorToken = randomBytes(24).toString('hex')
  readonly #options: CrewOptions
  readonly #proxies = new Map<string, Proxy>()
  readonly #members = new Map<Service, Member>()
  readonly #all = new Set<Child>()
  readonly #onIngress = new Set<() => void>()
  #ingresses = 0
  #died: string[] = []

  private constructor(options: CrewOptions) {
    this.#options = options
  }

  static async open(options: CrewOptions): Promise<Crew> {
    const crew = new Crew(options)
    for (const service of SERVICES) {
      for (const server of SERVERS[service]) {
        const place = placeOf(options.addressOf(service, server))
        if (place !== null) crew.#proxies.set(`${service} ${server}`, await openProxy(place.host, place.port))
      }
    }
    return crew
  }

  /** The way from a service to a server; undefined where there can be no proxy. */
  way(service: Service, server: Server): Proxy | undefined {
    return this.#proxies.get(`${service} ${server}`)
  }

  /** Services that have ended though nobody had asked them to: with the last lines of their logs. */
  get died(): readonly string[] {
    return this.#died
  }

  /** The ingress that was started last, if it has not been ended. */
  get ingress(): Ingress | null {
    return this.#members.get('ingress')?.ingress ?? null
  }

  /** Calls `listener` whenever an ingress is started: it drains both sides by itself. */
  onIngress(listener: () => void): void {
    this.#onIngress.add(listener)
  }

  isUp(service: Service): boolean {
    return this.#members.has(service)
  }

  /** Starts a service, beside the one that may be there. Returns at once. */
  async start(service: Service): Promise<void> {
    const port = await freePort()
    const doorbells = doorbellsOf(this.#options.seed, this.#ingresses, this.#options.serviceBroker)
    if (service === 'ingress') this.#ingresses++
    const child = startChild({
      name: service,
      script: `services/${service}/src/main.ts`,
      settings: this.#settings(service, port, doorbells),
      folder: this.#options.folder,
    })
    this.#all.add(child)
    const ingress = service === 'ingress' ? { url: `http://127.0.0.1:${port}`, doorbells } : null
    const member = { child, port, ingress }
    this.#members.set(service, member)
    void child.ended.then(({ asked }) => {
      this.#all.delete(child)
      if (this.#members.get(service) === member) this.#members.delete(service)
      if (!asked) this.#died.push(`${service} has ended by itself. Its last log lines:\n${child.tail()}`)
    })
    if (ingress !== null) for (const listener of this.#onIngress) listener()
  }

  /** As a crash. Resolves when the process is gone. */
  async kill(service: Service): Promise<void> {
    const member = this.#members.get(service)
    if (member === undefined) return
    this.#members.delete(service)
    member.child.signal('SIGKILL')
    await member.child.ended
  }

  /** A second one is started, and the first is told to end once the second is there. */
  async replace(service: Service): Promise<void> {
    const old = this.#members.get(service)
    await this.start(service)
    const young = this.#members.get(service)
    // It may be killed before it is ready: then there is none, until somebody starts one.
    if (young !== undefined) await untilReady(young.child, young.port).catch(() => undefined)
    await old?.child.stop()
  }

  async freeze(service: Service, ms: number): Promise<void> {
    const child = this.#members.get(service)?.child
    child?.signal('SIGSTOP')
    await delay(ms)
    child?.signal('SIGCONT')
  }

  /** All services there and ready, every way open. @throws Error with the last log lines of one that is not */
  async everybodyUp(patienceMs?: number): Promise<void> {
    for (const proxy of this.#proxies.values()) proxy.resume()
    for (const service of SERVICES) if (!this.isUp(service)) await this.start(service)
    await Promise.all([...this.#members.values()].map(({ child, port }) => untilReady(child, port, patienceMs)))
  }

  async close(): Promise<void> {
    this.#members.clear()
    await Promise.all([...this.#all].map((child) => child.stop()))
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()))
  }

  #settings(service: Service, port: number, doorbells: Doorbells): Record<string, string> {
    const settings: Record<string, string> = {
      CLINIC_TIME_ZONE: this.#options.timeZone,
      SYNC_WEBHOOK_SECRET: this.secret,
      SYNC_OPERATOR_TOKEN: this.operatorToken,
      CLINIC_DOORBELL: doorbells.clinic,
      PORTAL_DOORBELL: doorbells.portal,
      [service === 'ingress' ? 'INGRESS_PORT' : 'HEALTH_PORT']: String(port),
      LOG_LEVEL: 'info',
    }
    for (const server of SERVERS[service]) {
      const address = this.#options.addressOf(service, server)
      const proxy = this.way(service, server)
      settings[SETTING[server]] = proxy === undefined ? address : byWayOf(address, proxy.port)
    }
    return settings
  }
}
