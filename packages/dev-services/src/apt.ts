import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline/promises'
import { parseDevServicesFlags } from './flags.ts'
import { Guarded } from './guarded.ts'
import { capture, find, isRoot } from './machine.ts'
import type { ServiceOptions } from './service.ts'

/** What is installed, and what it is called in what is said. */
export interface AptPackage {
  readonly service: string
  readonly name: string
  /** A further word on the installation. */
  readonly remark?: string
}

/**
 * Installs without recommended extras, and without starting the system's service: Debian asks /usr/sbin/policy-rc.d, for
 * which 101 means no. One that is there already is the machine's own and stays. The lists are fetched only when the
 * package is not found with those at hand, as on a fresh container image.
 */
const installing = (name: string) => `
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod 755 "$policy"
fi
install() { apt-get install -y -q --no-install-recommends ${name}; }
if [ -z "$(apt-cache madison ${name} 2>/dev/null)" ]; then apt-get update -q; install
else install || { apt-get update -q; install; }
fi
`

let installation: Promise<void> = Promise.resolve()

/**
 * Installs one of the distribution's packages, on Debian and Ubuntu, as root or with passwordless sudo. Asks first on a
 * terminal, unless `yes` or CI=true; without a terminal and without either it does not.
 *
 * @returns undefined when it is installed, else why not.
 */
export async function aptInstall(wanted: AptPackage, options: ServiceOptions): Promise<string | undefined> {
  const env = options.env ?? process.env
  const apt = await find('apt-get', [], env)
  if (!apt || !(await isDebian())) return 'not Debian or Ubuntu'
  const prefix = await becomeRoot(env)
  if (!prefix) return 'neither root nor passwordless sudo'
  const { service, name, remark = '' } = wanted
  const refused = await consent(wanted, options, env)
  if (refused) return refused

  // dpkg takes one at a time: whoever is asked for beside another waits.
  const before = installation
  let over = () => {}
  installation = new Promise((resolve) => (over = resolve))
  await before
  options.say?.(`${service}: installing the package ${name}, once${remark}`)
  const guarded = await Guarded.open()
  try {
    const [command = 'sh', ...args] = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'sh', '-c', installing(name)]
    await guarded.run({
      command,
      args,
      env: { PATH: `${env.PATH ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`, LANG: 'C.UTF-8', ...proxies(env) },
      cwd: '/',
      log: 'apt.log',
      stopSignal: 'SIGTERM',
      graceMs: 1_000,
      // Never cut short: an interrupted dpkg leaves the machine's packages half configured.
      finish: true,
    })
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    await guarded.close()
    over()
  }
}

const release = (): Promise<string> => readFile('/etc/os-release', 'utf8').catch(() => '')
const isDebian = async (): Promise<boolean> => /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(await release())
export const isUbuntu = async (): Promise<boolean> => /^ID(_LIKE)?=.*\bubuntu\b/m.test(await release())

/** What to put before a command to run it as root: nothing when it is root already; undefined when there is no way. */
async function becomeRoot(env: NodeJS.ProcessEnv): Promise<string[] | undefined> {
  if (isRoot()) return []
  const sudo = await find('sudo', [], env)
  // -k: a password typed a minute ago on this terminal does not count; the installation has no terminal.
  if (!sudo || (await capture(sudo, ['-k', '-n', 'true'])).code !== 0) return undefined
  return [sudo, '-n']
}

async function consent(
  { service, name }: AptPackage,
  options: ServiceOptions,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  if (mayInstall(options, env)) return undefined
  if (!process.stdin.isTTY || !process.stderr.isTTY) return 'not installed unasked (--yes or CI=true allows it)'
  // Not as a terminal: readline would switch it to raw mode, in which Ctrl-C no longer ends the process.
  const prompt = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  try {
    const closed = once(prompt, 'close').then(() => 'no')
    const question = `${service} is not on this machine. Install the package ${name} now? [Y/n] `
    const answer = await Promise.race([prompt.question(question), closed])
    return /^(y(es)?)?$/i.test(answer.trim()) ? undefined : 'declined'
  } finally {
    prompt.close()
  }
}

/** True when nobody needs to be asked: option `yes`, CI=true (or CI=1), or `npm … --yes`. */
export function mayInstall(options: ServiceOptions, env: NodeJS.ProcessEnv): boolean {
  return options.yes === true || env.CI === 'true' || env.CI === '1' || parseDevServicesFlags([], env).yes
}

function proxies(env: NodeJS.ProcessEnv): Record<string, string> {
  const names = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])))
}
