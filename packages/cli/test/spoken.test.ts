import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createLogger, spoken } from '@clinic-sync/runtime'
import { SyncError } from '@clinic-sync/sync'

const DOCKER = 'docker compose run --rm sync'

t.test('a container names its own commands', async (t) => {
  t.equal(spoken('Run `npm run sync -- migrate portal`.', DOCKER), `Run \`${DOCKER} migrate portal\`.`)
  t.equal(spoken('npm run sync -- init --overwrite', DOCKER), 'docker compose run --rm init --overwrite')
  t.equal(spoken('Run npm run sync -- doctor', undefined), 'Run npm run sync -- doctor')
})

t.test('whatever a command prints', async (t) => {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
  const node = [`--import=${import.meta.resolve('tsx')}`, '--conditions=@clinic-sync/source', main]
  const child = spawn(process.execPath, [...node, 'doctor', '--json'], {
    cwd: t.testdir(),
    env: { PATH: process.env.PATH, SYNC_COMMAND: DOCKER, POSTGRES_URL: 'postgres://a:b@127.0.0.1:1/x' },
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part))
  await once(child, 'close')
  t.match(JSON.parse(text), { ok: false })
  t.notMatch(text, 'npm run sync')
})

t.test('what a service logs', async (t) => {
  const lines: string[] = []
  process.env.SYNC_COMMAND = DOCKER
  t.teardown(() => delete process.env.SYNC_COMMAND)
  createLogger({ name: 'test', level: 'info' }, { write: (line) => void lines.push(line) }).error(
    { err: new SyncError('SYNC_NOT_MIGRATED', 'There is no schema sync') },
    'ended. Run `npm run sync -- migrate`',
  )
  t.match(lines.join(''), /"advice":"Run `docker compose run --rm sync migrate`/)
  t.notMatch(lines.join(''), 'npm run sync')
})
