import { Command } from 'commander'
import t from 'tap'
import { takenByNpm } from '../src/taken-by-npm.ts'

const program = new Command('sync').option('--env-file <file>')
program.command('migrate').option('--dry-run').option('--with-portal-tables')
program.command('doctor').option('--json')
program.command('backfill').option('-t, --table <table...>').option('--restart')

const said = (line: string, environment: Record<string, string>) => takenByNpm(program, line.split(' '), environment)
const right = (line: string, environment: Record<string, string>) =>
  /npm run sync -- (.*) \(in Pow/.exec(said(line, environment) ?? '')?.[1]

t.test('how to write it: flags at the end, options that take a value before it', async (t) => {
  t.equal(right('migrate', { npm_config_dry_run: 'true' }), 'migrate --dry-run')
  t.equal(
    right('migrate clinic', { npm_config_dry_run: 'true', npm_config_with_portal_tables: 'true' }),
    'migrate clinic --dry-run --with-portal-tables',
  )
  t.equal(right('migrate', { npm_config_with_portal_tables: 'portal' }), 'migrate portal --with-portal-tables')
  t.equal(right('backfill work', { npm_config_table: 'true' }), 'backfill --table work')
  t.equal(right('backfill', { npm_config_table: 'work' }), 'backfill --table work')
  t.equal(right('backfill work', { npm_config_t: 'true' }), 'backfill --table work')
  t.equal(right('my.env doctor', { npm_config_env_file: 'true' }), '--env-file my.env doctor')
  t.equal(right('doctor', { npm_config_env_file: 'a b.env' }), '--env-file "a b.env" doctor')
})

t.test(
  'npm’s own setting of that name is nobody’s business where the command has no such option, or got it',
  async (t) => {
    t.equal(said('migrate', { npm_config_json: 'true' }), null)
    t.equal(said('doctor --json', { npm_config_json: 'true' }), null)
    t.equal(said('doctor --env-file=x', { npm_config_env_file: 'x' }), null)
    t.equal(said('backfill -twork', { npm_config_table: 'work' }), null)
    t.equal(said('migrate', { npm_config_dry_run: '' }), null)
    t.equal(said('migrate', { npm_config_dry_run: 'false' }), null)
    t.equal(said('nothing', { npm_config_dry_run: 'true' }), null)
    t.match(said('doctor', { npm_config_json: 'true' }), /npm run sync '--' doctor --json/)
  },
)

t.test('a command within a command', async (t) => {
  const outer = program.command('dead-letters')
  outer.command('replay').argument('[id...]').option('--all').option('--cause <code>')
  t.equal(right('dead-letters replay', { npm_config_all: 'true' }), 'dead-letters replay --all')
  t.equal(right('dead-letters replay 23505', { npm_config_cause: 'true' }), 'dead-letters replay --cause 23505')
  t.equal(said('dead-letters replay --all', { npm_config_all: 'true' }), null)
})
