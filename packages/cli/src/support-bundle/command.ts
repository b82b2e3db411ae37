import type { Environment } from '@clinic-sync/runtime'
import { SyncError } from '@clinic-sync/sync'
import type { Command } from 'commander'
import { type Bundle, makeBundle } from './bundle.ts'
import { listed } from './part.ts'
import { placeFor, writeBundle } from './write.ts'

interface Options {
  readonly out?: string
  readonly logs?: readonly string[]
}

/** Adds `support-bundle` to the program. */
export function addSupportBundle(program: Command, environment: () => Environment, version: string): void {
  program
    .command('support-bundle')
    .description(
      'one file to send to an engineer: versions, settings, doctor, status, logs, shapes of what is stuck; no value of a patient',
    )
    .option('-o, --out <file>', 'where to (default: a new file in the current folder); - for standard output')
    .option('--logs <file...>', 'add logs that were saved (journalctl, docker compose logs): the lines of our services')
    .action(async ({ out, logs = [] }: Options) => {
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort())
      process.once('SIGTERM', () => stop.abort())
      const settings = environment()
      const code = await supportBundleCommand({
        environment: settings,
        version,
        out,
        logs,
        ...STREAMS,
        signal: stop.signal,
      })
      // Ends now: what hangs would keep the process for as long as it does.
      process.exit(code)
    })
}

const STREAMS = { stdout: process.stdout, stderr: process.stderr }

export interface SupportBundleCommand {
  readonly environment: Environment
  readonly version: string
  /** As `--out` says. */
  readonly out: string | undefined
  readonly logs: readonly string[]
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean }
  readonly stderr: NodeJS.WritableStream
  readonly signal: AbortSignal
}

/**
 * Makes the bundle, puts it where it belongs, and says what is in it and what is not. With `--out -` the archive is all that standard output gets.
 *
 * @returns 0 also where parts are missing: that is when it is needed most. 130: interrupted, and nothing was left.
 * @throws SyncError SYNC_USAGE
 */
export async function supportBundleCommand(command: SupportBundleCommand): Promise<0 | 130> {
  const { environment, version, out, logs, stdout, stderr, signal } = command
  const piped = out === '-'
  if (piped) {
    mayPipe(stdout, environment)
    // A reader that has gone away: writing fails, below.
    stdout.on('error', () => undefined)
  }
  const file = piped ? null : placeFor(out, new Date(), environment.SYNC_COMMAND)
  const say = (line: string) => written(piped ? stderr : stdout, `${line}\n`)
  const interrupted = new Promise<null>((resolve) =>
    signal.addEventListener('abort', () => resolve(null), { once: true }),
  )
  await say(
    'Asking both databases, RabbitMQ and the services; where somebody does not answer it takes a minute or two.',
  )
  const bundle = signal.aborted
    ? null
    : await Promise.race([makeBundle({ environment, version, logs, signal }), interrupted])
  if (bundle === null || !(await put(bundle, file, stdout, signal))) {
    await say('Interrupted: nothing was written.')
    return 130
  }
  for (const line of told(bundle, file)) await say(line)
  return 0
}

/** @returns false: it was interrupted */
async function put(
  { content }: Bundle,
  file: string | null,
  stdout: NodeJS.WritableStream,
  signal: AbortSignal,
): Promise<boolean> {
  if (file === null) {
    await written(stdout, content).catch((cause: unknown) => {
      throw new SyncError('SYNC_USAGE', 'Whoever was to read the archive from standard output has gone away', { cause })
    })
    return true
  }
  try {
    await writeBundle(file, content, signal)
    return true
  } catch (cause) {
    if (signal.aborted) return false
    const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
    throw new SyncError('SYNC_USAGE', `The bundle cannot be written to ${file}${code}: name another place with --out`, {
      cause,
    })
  }
}

function mayPipe(stdout: { readonly isTTY?: boolean }, environment: Environment): void {
  if (stdout.isTTY === true)
    throw new SyncError(
      'SYNC_USAGE',
      'With --out - the archive goes to standard output, which is a terminal here: add > bundle.tar.gz',
    )
  // npm says what it runs, on standard output too.
  if (environment.npm_lifecycle_event === 'sync' && environment.npm_config_loglevel !== 'silent')
    throw new SyncError(
      'SYNC_USAGE',
      'With --out - the archive goes to standard output, where npm writes as well: name a file with --out, or start it with npm run --silent sync --',
    )
}

function told({ content, entries, missing }: Bundle, file: string | null): string[] {
  const size = `${Math.max(1, Math.round(content.length / 1000)).toLocaleString('en')} kB`
  return [
    '',
    `${file ?? 'Standard output'}: ${size}, ${entries.length} files:`,
    ...entries.flatMap(({ path, about }) => listed(path, path === 'README.txt' ? 'what each file is' : about)),
    '',
    ...(missing.length === 0 ? ['Nothing is missing.'] : ['Could not be had:']),
    ...missing.flatMap(({ what, why }) => listed(what, why)),
    '',
    'No value of a patient and no secret is in it. It is plain text, packed: look through it before you send it.',
  ]
}

const written = (stream: NodeJS.WritableStream, chunk: string | Buffer): Promise<void> =>
  new Promise((resolve, reject) => stream.write(chunk, (error) => (error ? reject(error) : resolve())))
