import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { type Child, freePort, startChild } from '@clinic-sync/demo'

export const SERVICES = ['ingress', 'sql-to-postgres', 'postgres-to-sql'] as const
export type Service = (typeof SERVICES)[number]

export interface CrewOptions {
  /** What a service is configured with: its addresses. */
  readonly settings: (service: Service) => Readonly<Record<string, string>>
  /** Holds the logs. */
  readonly folder: string
}

interface Member {
  readonly child: Child
  /** What it was started with besides the usual. */
  readonly settings: Settings
}

type Settings = Readonly<Record<string, string>>

/** How often a service that starts is asked whether it is ready, and for how long, milliseconds. */
const ASK = 4
const PATIENCE = 30_000

/** What only the ingress reads: the others go on when this changes. */
const OF_INGRESS = ['CLINIC_DOORBELL', 'PORTAL_DOORBELL']

/** The three services as they are in production: built, a process each, their logs at `info`. */
export class Crew {
  readonly secret = randomBytes(24).toString('hex')
  readonly operatorToken = randomBytes(24).toString('hex')
  readonly #options: CrewOptions
  readonly #members = new Map<Service, Member>()
  readonly #ports = new Map<Service, Promise<number>>()
  #died: string | undefined

  constructor(options: CrewOptions) {
    this.#options = options
  }

  /** Starts one, and waits until it says that it is ready. @returns milliseconds from its start until then */
  async start(service: Service, settings: Settings = {}): Promise<number> {
    const port = await this.#portOf(service)
    const since = performance.now()
    const child = startChild({
      name: service,
      script: `services/${service}/dist/main.js`,
      settings: {
        CLINIC_TIME_ZONE: 'Asia/Baghdad',
        SYNC_WEBHOOK_SECRET: this.secret,
        SYNC_OPERATOR_TOKEN: this.operatorToken,
        LOG_LEVEL: 'info',
        ...this.#options.settings(service),
        ...(service === 'ingress' ? { INGRESS_PORT: String(port) } : { HEALTH_PORT: String(port) }),
        ...settings,
      },
      folder: this.#options.folder,
    })
    this.#members.set(service, { child, settings })
    void child.ended.then(({ asked }) => {
      if (!asked) this.#died ??= `${service} has ended. Its last log lines:\n${child.tail()}`
    })
    await this.#untilReady(service)
    return performance.now() - since
  }

  async #untilReady(service: Service): Promise<void> {
    const deadline = performance.now() + PATIENCE
    for (;;) {
      const answer = await fetch(`${await this.addressOf(service)}/readyz`).catch(() => undefined)
      await answer?.body?.cancel()
      if (answer?.ok) return
      this.check()
      if (performance.now() > deadline)
        throw new Error(`${service} is not ready. Its last log lines:\n${this.#member(service).child.tail()}`)
      await sleep(ASK)
    }
  }

  /** Starts those that are not up, or were started with other settings. @returns those */
  async startAll(settings: Settings = {}): Promise<Service[]> {
    this.check()
    const wanted = (service: Service) =>
      Object.fromEntries(
        Object.entries(settings).filter(([name]) => service === 'ingress' || !OF_INGRESS.includes(name)),
      )
    const starting = SERVICES.filter((service) => !this.runs(service, wanted(service)))
    await Promise.all(
      starting.map(async (service) => {
        await this.stop(service)
        await this.start(service, wanted(service))
      }),
    )
    return starting
  }

  /** @throws Error if one has ended that nobody had asked to: nothing that is measured after that means anything. */
  check(): void {
    if (this.#died !== undefined) throw new Error(this.#died)
  }

  async stop(service: Service): Promise<void> {
    const member = this.#members.get(service)
    this.#members.delete(service)
    await member?.child.stop()
  }

  async stopAll(): Promise<void> {
    await Promise.all(SERVICES.map((service) => this.stop(service)))
  }

  /** Where it is, or will be: always the same. */
  async addressOf(service: Service): Promise<string> {
    return `http://127.0.0.1:${await this.#portOf(service)}`
  }

  /** Whether it is up, and was started with these settings. */
  runs(service: Service, settings: Settings): boolean {
    return isDeepStrictEqual(this.#members.get(service)?.settings, settings)
  }

  pidOf(service: Service): number {
    const { pid } = this.#member(service).child
    if (pid === undefined) throw new Error(`${service} has no process`)
    return pid
  }

  /** The operator's doorbell, for one side's outbox. */
  async ring(direction: 'sql-to-postgres' | 'postgres-to-sql'): Promise<void> {
    const answer = await fetch(`${await this.addressOf('ingress')}/api/sync/trigger`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.operatorToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ direction }),
    })
    if (!answer.ok) throw new Error(`the doorbell was answered with ${answer.status}: ${await answer.text()}`)
    await answer.body?.cancel()
  }

  /** The sum of a metric over those of its labels that are asked for. */
  async metric(service: Service, name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const answer = await fetch(`${await this.addressOf(service)}/metrics`, {
      headers: { authorization: `Bearer ${this.operatorToken}` },
    })
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
    let sum = 0
    for (const line of (await answer.text()).split('\n')) {
      const [, found, labelled = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
      if (found === name && wanted.every((each) => labelled.includes(each))) sum += Number(value)
    }
    return sum
  }

  #portOf(service: Service): Promise<number> {
    const port = this.#ports.get(service) ?? freePort()
    this.#ports.set(service, port)
    return port
  }

  #member(service: Service): Member {
    const member = this.#members.get(service)
    if (member === undefined) throw new Error(`${service} is not up`)
    return member
  }
}
