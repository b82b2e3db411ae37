// A request in several pieces is sent at once.
import { Socket } from 'node:net'
import { startSimulator } from '@clinic-sync/sqlserver-simulator'
import { pino } from 'pino'
import t from 'tap'
import { openClinic } from '../src/index.ts'

t.test('no piece of a request waits for the acknowledgement of the one before', async (t) => {
  const simulator = await startSimulator()
  t.teardown(() => simulator.stop())
  const prompt = new Set<Socket>()
  const setNoDelay = Reflect.get(Socket.prototype, 'setNoDelay') as Socket['setNoDelay']
  t.intercept(Socket.prototype, 'setNoDelay', {
    value(this: Socket, on?: boolean) {
      if (on !== false && this.remotePort === simulator.port) prompt.add(this)
      return setNoDelay.call(this, on)
    },
  })
  const clinic = await openClinic({ url: simulator.url, timeZone: 'Asia/Baghdad', log: pino({ level: 'silent' }) })
  t.teardown(() => clinic.close())
  await clinic.check()
  t.ok(prompt.size > 0)
})
