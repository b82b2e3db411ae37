import { chmodSync, existsSync, mkdirSync, mkdtempSync } from 'node:fs'
import { readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Demo, noteRunning, type Releasers, startDemo } from '@clinic-sync/demo'
import pg from 'pg'
import { ROOT } from '../pages.ts'
import { compile, compiledScripts } from './compile.ts'

/** A demo that runs, and what blocks find there. */
export interface Stage {
  readonly demo: Demo
  /** As the owner of the portal's tables. */
  readonly portal: pg.Client
  /** All of the environment of a shell. */
  readonly environment: Readonly<Record<string, string>>
  /** The same without any setting of ours. */
  readonly plain: Readonly<Record<string, string>>
  /** A folder that looks like the project's, with a `.env` of its own, or none: what a block writes there is no developer's. */
  newFolder(withSettings: boolean): Promise<string>
}

/** Whatever could be a setting of ours, or is npm's or tap's own, and so another's than the reader's. */
const NOT_THE_READERS =
  /^(SQLSERVER|POSTGRES|RABBITMQ|SYNC|INGRESS|HEALTH|CLINIC|PORTAL|LOG|SECRETS|TAP|npm)_|^(TAP|INIT_CWD)$/i

/** Each an answer that blocks in a shell get, in place of what only an installation has. */
const DOCKER = `#!/bin/sh
# The command line in its container is the command line on this demo. Blocks for a Docker engine are run as docker.
run=4
[ "$1 $2 $3 $4 $5" = 'compose run --rm -T sync' ] && run=5
if [ "$1 $2 $3 $4" = 'compose run --rm sync' ] || [ "$run" = 5 ]; then
  shift "$run"
  export SYNC_COMMAND='docker compose run --rm sync'
  exec node "$CLINIC_SYNC_COMPILED/packages/cli/dist/main.js" "$@"
fi
echo "docker $*: mark this block as run: docker" >&2
exit 127
`

/** Not linked into a block's folder: a developer's own secrets, and what a stray command could harm. */
const LEFT_OUT = new Set(['.env', 'secrets', '.git', '.tap', 'package.json'])

/**
 * Starts the demo, with nothing shown.
 *
 * @param release gets everything that is started.
 * @throws Error in words for people
 */
export async function setStage(release: Releasers, say: (line: string) => void): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'clinic-sync-docs-'))
  release.add('folder', () => rm(folder, { recursive: true, force: true }))
  // Postgres does not run as root: its own user must get through.
  chmodSync(folder, 0o755)
  const demo = await startDemo({ screen: quiet(say), release, confirm: async () => true, yes: true, quiet: true })
  const { addresses, services } = demo
  const { ingressUrl, operatorToken } = services
  await noteRunning({ ...addresses, ingressUrl, operatorToken }, folder)
  const portal = new pg.Client({ connectionString: addresses.portal, application_name: 'clinic-sync docs' })
  portal.on('error', () => undefined)
  await portal.connect()
  release.add('portal connection', () => portal.end())
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  await keepWhatTsxKnows(folder)
  const compiled = join(folder, 'compiled')
  await compile(compiled)
  const manifest = compiledScripts(await readFile(join(ROOT, 'package.json'), 'utf8'), compiled)
  for (const name of ['docker', 'docker-compose']) await writeFile(join(bin, name), DOCKER, { mode: 0o755 })
  const own = Object.entries(process.env).filter(([name]) => !NOT_THE_READERS.test(name))
  const plain = {
    ...(Object.fromEntries(own) as Record<string, string>),
    PATH: `${bin}:${process.env.PATH ?? ''}`,
    TMPDIR: folder,
    CLINIC_SYNC_COMPILED: compiled,
    NO_COLOR: '1',
  }
  let folders = 0
  return {
    demo,
    portal,
    environment: { ...plain, ...services.settings },
    plain,
    async newFolder(withSettings) {
      const project = join(folder, `project-${++folders}`)
      mkdirSync(project)
      for (const name of await readdir(ROOT))
        if (!LEFT_OUT.has(name)) await symlink(join(ROOT, name), join(project, name))
      await writeFile(join(project, 'package.json'), manifest)
      if (!withSettings) return project
      const settings = Object.entries(services.settings).map(([name, value]) => `${name}="${value}"\n`)
      await writeFile(join(project, '.env'), settings.join(''), { mode: 0o600 })
      return project
    },
  }
}

/** What tsx has compiled is found again below the blocks' own TMPDIR: else each of their processes would compile it anew, 2 s. */
async function keepWhatTsxKnows(folder: string): Promise<void> {
  const cache = `tsx-${process.geteuid?.() ?? ''}`
  if (existsSync(join(tmpdir(), cache))) await symlink(join(tmpdir(), cache), join(folder, cache))
}

/** The demo's own words, none of them in colour. */
function quiet(say: (line: string) => void) {
  const same = (text: string) => text
  const line = (text = '') => say(text)
  const pair = (name: string, text: string) => say(`  ${name} ${text}`)
  return { line, section: line, pair, good: same, bad: same, faint: same, strong: same }
}
