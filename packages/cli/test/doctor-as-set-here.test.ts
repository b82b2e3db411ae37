import t from 'tap'
import { asSetHere } from '../src/doctor/as-set-here.ts'
import type { Check } from '../src/doctor/check.ts'

const DOCKER = {
  SYNC_COMMAND: 'docker compose run --rm sync',
  POSTGRES_URL_FILE: '/run/secrets/postgres_url',
  SYNC_OPERATOR_TOKEN_FILE: '/run/secrets/operator_token',
}
const check = (todo: string | null): Check => ({
  id: 'portal.reachable',
  area: 'portal',
  title: 'It answers',
  status: 'fail',
  found: 'no',
  todo,
})
const said = (todo: string, environment = {}) => asSetHere(check(todo), environment).todo

t.test('a URL or a secret is changed where it stands', async (t) => {
  const todo = 'Correct user and password in POSTGRES_URL (.env).'
  t.equal(said(todo, DOCKER), 'Correct user and password in POSTGRES_URL (the file secrets/postgres_url).')
  t.equal(
    said(todo, { POSTGRES_URL_FILE: 'secrets/portal' }),
    'Correct user and password in POSTGRES_URL (the file secrets/portal).',
  )
  t.equal(said(todo), todo)
  t.match(
    said('Give SYNC_OPERATOR_TOKEN another value in .env (so), then …', DOCKER),
    'SYNC_OPERATOR_TOKEN another value (the file secrets/operator_token) (so)',
  )
  t.match(
    said('write it into POSTGRES_URL in .env (see .env.example)', DOCKER),
    'POSTGRES_URL (the file secrets/postgres_url) (see .env.example)',
  )
})

t.test('in Docker a service reads .env when its container is made anew', async (t) => {
  const zone = 'Set CLINIC_TIME_ZONE in .env to it, restart the services, then: npm run sync -- backfill --restart'
  t.equal(said(zone), zone)
  t.equal(
    said(zone, DOCKER),
    'Set CLINIC_TIME_ZONE in .env to it, docker compose up -d --force-recreate, then: npm run sync -- backfill --restart',
  )
  t.match(said('npm run sync -- doorbell, then restart the ingress.', DOCKER), /up -d --force-recreate ingress\.$/)
  t.match(said('Start the ingress, or correct INGRESS_URL in .env.', DOCKER), /^docker compose up -d\./)
})

t.test('where nothing is to be done', async (t) => {
  t.equal(asSetHere(check(null), DOCKER).todo, null)
})
