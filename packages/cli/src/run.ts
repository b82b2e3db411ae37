import { SyncError } from '@clinic-sync/sync'
import { adviceOf } from './advice.ts'
import { speakAs } from './spoken.ts'
import { takenByNpm } from './taken-by-npm.ts'
import { isVerify } from './verify/is-verify.ts'

speakAs(process.env.SYNC_COMMAND, [process.stdout, process.stderr])
const { argv } = process
const program = isVerify(argv.slice(2))
  ? (await import('./verify/program.ts')).verifyProgram()
  : (await import('./program.ts')).syncProgram()
const taken = takenByNpm(program, argv.slice(2), process.env)
try {
  if (taken === null) await program.parseAsync()
  else {
    process.stderr.write(`${taken}\n`)
    process.exitCode = 1
  }
} catch (error) {
  // Our own errors are sentences for people; anything else is a defect whose message may hold a value.
  if (error instanceof SyncError)
    process.stderr.write(`${error.message.replace(/[.]$/, '')}. ${adviceOf(error, program.args[0])}\n`)
  else
    process.stderr.write(
      `An unforeseen error: ${error instanceof Error ? (error.stack ?? '').replace(error.message, error.name) : typeof error}\n`,
    )
  process.exitCode = 1
}
