import { type Leg, trace } from '@clinic-sync/operations'
import type { Environment } from '@clinic-sync/runtime'
import { type Command, InvalidArgumentError } from 'commander'
import { openPorts } from './ports.ts'
import { endLines, faultLines, hopLines, untriedLines } from './print.ts'

interface Options {
  readonly json: boolean
  /** Seconds. */
  readonly within?: number
}

/** Adds `trace` to the program. */
export function addTrace(program: Command, environment: () => Environment): void {
  program
    .command('trace')
    .description('send a canary the whole round, print each hop’s time, and name the one that is dead')
    .option('--within <seconds>', 'how long a hop may take: 10 unless told otherwise', seconds)
    .option('--json', 'print { ok, totalMs, hops, faults, untried, notes } at the end, and nothing else', false)
    .action(async (options: Options) => {
      const code = await traceCommand({ ...options, environment: environment(), out: process.stdout })
      // Ends now: a connection that hangs would keep the process for as long as it does.
      process.exit(code)
    })
}

export interface TraceCommand extends Options {
  readonly environment: Environment
  readonly out: { write(text: string, done?: () => void): unknown }
}

/** Traces, and tells each hop as it comes. @returns the exit code: 1 where something is dead */
export async function traceCommand({ environment, json, within, out }: TraceCommand): Promise<0 | 1> {
  const ports = await openPorts(environment)
  const say = (lines: readonly string[]) => {
    if (!json) out.write(`${lines.join('\n')}\n`)
  }
  const begun = new Set<Leg>()
  try {
    const result = await trace(ports, {
      ...(within !== undefined && { patienceMs: within * 1_000 }),
      onHop: (hop) => {
        say(hopLines(hop, !begun.has(hop.leg)))
        begun.add(hop.leg)
      },
      onFault: (fault) => say(faultLines(fault)),
      onUntried: (untried) => say(untriedLines(untried)),
    })
    say(['', ...endLines(result)])
    // Until it is written: the command ends the process then.
    await new Promise<void>((resolve) => out.write(json ? `${JSON.stringify(result, null, 2)}\n` : '', () => resolve()))
    return result.ok ? 0 : 1
  } finally {
    // Not waited for: a server that hangs would hang the command too.
    ports.close().catch(() => undefined)
  }
}

function seconds(value: string): number {
  const number = Number(value)
  if (!/^\d{1,4}$/.test(value) || number < 1) throw new InvalidArgumentError('It is a whole number of seconds.')
  return number
}
