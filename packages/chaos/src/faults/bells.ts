import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Fault } from '../fault.ts'
import type { Ground } from '../ground/ground.ts'

const PATHS = ['/api/sync/queue-notify', '/api/sync/webhook'] as const
const WEBHOOK = {
  type: 'UPDATE',
  table: 'aligner_notes',
  schema: 'public',
  record: { note_id: 1, aligner_set_id: 1, note_type: 'Doctor', note_text: 'forged', is_read: true },
  old_record: null,
}

/** Rings an ingress by HTTP. @returns the status of the answer; 0: none */
function ring({ crew }: Ground, path: (typeof PATHS)[number], agent?: Agent): Promise<number> {
  const [ingress] = crew.of('ingress')
  if (ingress === undefined) return Promise.resolve(0)
  const body = JSON.stringify(path === '/api/sync/webhook' ? WEBHOOK : {})
  return new Promise((resolve) => {
    const sent = request(
      `${ingress.url}${path}`,
      {
        method: 'POST',
        agent,
        timeout: 10_000,
        headers: { authorization: `Bearer ${crew.secret}`, 'content-type': 'application/json' },
      },
      (answer) => {
        answer.resume()
        answer.on('end', () => resolve(answer.statusCode ?? 0))
        answer.on('error', () => resolve(0))
      },
    )
    sent.on('timeout', () => sent.destroy())
    sent.on('error', () => resolve(0))
    sent.end(body)
  })
}

/** An ingress that hears by HTTP only stands in for one whose doorbells are all lost. */
const deaf: Fault = {
  name: 'deaf',
  about: 'every doorbell is lost for a minute; then one rings on each side, and everything is found',
  lastsMs: [60_000, 60_000],
  alone: true,
  async inject(ground) {
    const { crew, troubles } = ground
    await Promise.all(crew.of('ingress').map(({ child }) => child.stop()))
    await crew.ready(await crew.start('ingress', { byHttp: true }))
    return async () => {
      const before = await ground.canaries.marks()
      for (const path of PATHS) {
        const status = await ring(ground, path)
        if (status !== 202) troubles.push(`a doorbell was answered with ${status}`)
      }
      const deadline = performance.now() + 30_000
      while ((await ground.canaries.open({ clinic: '0', portal: '0' }, before)) > 0) {
        if (performance.now() > deadline) {
          troubles.push('one ring after a minute of silence did not bring everything across within 30 s')
          break
        }
        await delay(200)
      }
      await Promise.all(crew.of('ingress').map(({ child }) => child.stop()))
      await crew.everybodyUp()
    }
  },
}

const RATE = 500
const TICK_MS = 20

const rush: Fault = {
  name: 'rush',
  about: 'doorbells at 500 a second for 10 s, on both sides',
  lastsMs: [10_000, 10_000],
  async inject(ground) {
    const agent = new Agent({ keepAlive: true, maxSockets: 32 })
    const answers = new Map<number, number>()
    let rings = 0
    const ringing = new Set<Promise<void>>()
    const timer = setInterval(() => {
      for (let i = 0; i < (RATE * TICK_MS) / 1_000; i++) {
        const ringed = ring(ground, PATHS[rings++ % PATHS.length] ?? PATHS[0], agent).then(
          (status) => void answers.set(status, (answers.get(status) ?? 0) + 1),
        )
        ringing.add(ringed)
        void ringed.then(() => ringing.delete(ringed))
      }
    }, TICK_MS)
    return async () => {
      clearInterval(timer)
      await Promise.all(ringing)
      agent.destroy()
      const heard = answers.get(202) ?? 0
      ground.say(
        `     rush: ${rings} rings, ${heard} heard, the others answered with ${[...answers.keys()].filter((status) => status !== 202).join(', ') || 'nothing else'}`,
      )
      if (heard === 0) ground.troubles.push('no doorbell of the rush was heard')
    }
  },
}

export const BELL_FAULTS: readonly Fault[] = [rush, deaf]
