import type { Environment } from '@clinic-sync/runtime'
import { type Diagnosis, doctor } from './doctor.ts'
import { report } from './print.ts'

export interface DoctorCommand {
  readonly environment: Environment
  readonly json: boolean
  /** What `--env-file` names, so that the commands to copy name it as well. */
  readonly envFile?: string | undefined
  readonly out: NodeJS.WriteStream
}

/** Runs the doctor and prints what it found: JSON and nothing else, or lines for people. @returns the exit code */
export async function doctorCommand({ environment, json, envFile, out }: DoctorCommand): Promise<0 | 1> {
  const diagnosis = withFile(await doctor(environment), envFile)
  const colour = out.isTTY === true && out.hasColors() && environment.NO_COLOR === undefined
  const text = json ? JSON.stringify(diagnosis, null, 2) : report(diagnosis, colour).join('\n')
  // Until it is written: the command ends the process then, and a server that hangs must not hold it up.
  await new Promise<void>((resolve) => out.write(`${text}\n`, () => resolve()))
  return diagnosis.ok ? 0 : 1
}

/** What to do, with the settings' file that was used: a copied command must not meet the database of another `.env`. */
export function withFile(diagnosis: Diagnosis, file: string | undefined): Diagnosis {
  if (file === undefined) return diagnosis
  const named = (todo: string) =>
    todo
      .replaceAll('npm run sync -- ', () => `npm run sync -- --env-file ${JSON.stringify(file)} `)
      .replaceAll(/(?<![\w/])\.env(?!\w|\.\w)/g, () => file)
  return {
    ...diagnosis,
    checks: diagnosis.checks.map((check) => (check.todo === null ? check : { ...check, todo: named(check.todo) })),
  }
}
