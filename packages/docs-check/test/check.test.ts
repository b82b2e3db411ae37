import { syncProgram } from '@clinic-sync/cli/program'
import t from 'tap'
import { checkCommands } from '../src/check/commands.ts'
import { checkCompose } from '../src/check/compose.ts'
import { anchorsOf, checkLinks, checkOrphans } from '../src/check/links.ts'
import { checkDependencies, checkEditorconfig, checkVersions } from '../src/check/project.ts'
import { routesIn } from '../src/check/routes.ts'
import { checkNames, checkPaths, checkSettings } from '../src/check/settings.ts'
import { pageOf, readPages } from '../src/pages.ts'

const known = {
  scripts: new Set(['sync', 'demo', 'test']),
  program: syncProgram(),
  options: new Set(['--once', '--dry-run']),
}
const page = (text: string) => pageOf('docs/x.md', text)
const messages = (faults: readonly { message: string }[]) => faults.map(({ message }) => message)

t.test('links: files, headings, other sites', async (t) => {
  const text =
    '# One two\n\n[a](#one-two) [b](#three) [c](../README.md) [d](../NO.md) [e](http://example.org) [f][g] [h](../../x)\n'
  t.match(messages(checkLinks([page(text)])), [
    /#three/,
    /there is no NO\.md/,
    /use https/,
    /refers to nothing/,
    /out of the project/,
  ])
  const headings = '# A `b` c’s: d/e_f\n\n## Twice\n\n## Twice\n\n<a id="own"></a>\n'
  t.same([...anchorsOf(page(headings))], ['a-b-cs-de_f', 'twice', 'twice-1', 'own'])
  t.match(messages(checkOrphans([page('# A')])), [/no page leads here/])
})

t.test('commands: scripts, commands, options, arguments', async (t) => {
  const faults = (code: string) => messages(checkCommands([page(`\`${code}\``)], known))
  for (const fine of [
    'npm run sync -- migrate portal --dry-run',
    'npm run sync -- --env-file x dead-letters show 4k2m --rehearse',
    'npm run sync -- status | head',
    "npm run sync '--' doctor --json",
    'npm run sync -- <command> --help',
    'npm run sync -- migrate [clinic|portal] [--dry-run]',
    'npm run demo -- --once',
    'docker compose run --rm sync requeue --older-than 10m',
    'dead-letters discard --superseded',
    'doctor',
    'migrate',
    '--rehearse'.replace('rehearse', 'once'),
  ])
    t.same(faults(fine), [], fine)
  for (const [wrong, why] of [
    ['npm run snyc -- status', /no script snyc/],
    ['npm run sync -- state', /no command state/],
    ['npm run sync -- status --wach', /status has no option --wach/],
    ['npm run sync status', /without --/],
    ['npm run sync -- dead-letters bury x', /dead-letters has no command bury/],
    ['npm run sync -- dead-letters show x --rehearsal', /dead-letters show has no option/],
    ['npm run sync -- migrate portals', /takes clinic, portal/],
    ['npm run demo -- --onec', /npm run demo has no option --onec/],
    ['docker compose run --rm sync stats', /no command stats/],
    ['backfill --again', /backfill has no option --again/],
    ['--for-ever', /no command of ours has an option/],
  ] as const)
    t.match(faults(wrong), [why], wrong)
})

t.test('docker compose: services, files, profiles', async (t) => {
  const faults = (code: string) => messages(checkCompose([page(`\`${code}\``)]))
  for (const fine of [
    'docker compose --profile demo up -d',
    'docker compose run --rm sync status',
    'docker compose logs --tail 50 -f ingress sql-to-postgres',
    'docker compose exec -T demo-postgres psql -U postgres',
    'docker compose down -v',
  ])
    t.same(faults(fine), [], fine)
  for (const [wrong, why] of [
    ['docker compose run --rm synk status', /no service synk/],
    ['docker compose restart ingres', /no service ingres/],
    ['docker compose --profile demos up', /no profile demos/],
    ['docker compose -f other.yml up', /no file other\.yml/],
    ['docker compose upp', /no command upp/],
  ] as const)
    t.match(faults(wrong), [why], wrong)
})

t.test('settings, names, paths, routes', async (t) => {
  const table =
    '| setting | default | what |\n| --- | --- | --- |\n| `LOG_LEVEL` | `debug` | x |\n| `LOG_COLOUR` | `red` | x |\n'
  const found = messages(checkSettings([page(table)]))
  t.ok(found.includes('the table of settings lacks SQLSERVER_URL'))
  t.ok(found.includes('the default of LOG_LEVEL is info, not debug'))
  t.ok(found.includes('nothing reads a setting LOG_COLOUR'))
  t.match(messages(checkNames([page('`SYNC_NO_SUCH_THING` `SYNC_CONFIG` `LOG_LEVEL=info`')])), [/SYNC_NO_SUCH_THING/])
  const there = (path: string) => path === 'docs/a.md'
  t.match(messages(checkPaths([page('`docs/a.md` `docs/b.md` `docs/<any>.md`')], there)), [/there is no docs\/b\.md/])
  const routes = routesIn([
    page('`GET /readyz` `curl http://localhost:3000/api/sync/trigger` `docs/metrics.md` `/api/sync`'),
  ])
  t.same(
    routes.map(({ method, path }) => [method, path]),
    [
      ['GET', '/readyz'],
      [undefined, '/api/sync/trigger'],
    ],
  )
})

t.test('dependencies, versions, files', async (t) => {
  t.match(messages(checkDependencies(page('| `left-pad` | … |'))), /nothing depends on left-pad/)
  t.ok(messages(checkDependencies(page(''))).includes('lacks fastify'))
  t.match(messages(checkVersions(page('## [0.0.1]'))), [/newest version is 0\.0\.1/])
  const folder = t.testdir({ 'a.md': 'a \n', 'b.ts': 'b', 'c.sql': 'c\r\n', 'd.md': 'fine\n' })
  t.match(messages(checkEditorconfig(folder)), [/blank/, /does not end/, /CRLF/])
})

t.test('every page is read', async (t) => {
  const paths = readPages().map(({ path }) => path)
  t.equal(paths[0], 'README.md')
  t.notOk(paths.some((path) => path.includes('node_modules')))
  t.ok(paths.includes('packages/docs-check/README.md'))
})
