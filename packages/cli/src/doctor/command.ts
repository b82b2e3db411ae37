import type { Environment } from '@clinic-sync/runtime'
import { doctor } from './doctor.ts'
import { report } from './print.ts'

export interface DoctorCommand {
  readonly environment: Environment
  readonly json: boolean
  readonly out: NodeJS.WriteStream
}

/** Runs the doctor and prints what it found: JSON and nothing else, or lines for people. @returns the exit code */
export async function doctorCommand({ environment, json, out }: DoctorCommand): Promise<0 | 1> {
  const diagnosis = await doctor(environment)
  const colour = out.isTTY === true && out.hasColors() && environment.NO_COLOR === undefined
  const text = json ? JSON.stringify(diagnosis, null, 2) : report(diagnosis, colour).join('\n')
  // Until it is written: the command ends the process then, and a server that hangs must not hold it up.
  await new Promise<void>((resolve) => out.write(`${text}\n`, () => resolve()))
  return diagnosis.ok ? 0 : 1
}
