import type { Command } from 'commander'
import { rootProgram } from '../root.ts'
import { addVerify } from './command.ts'

/** `sync` with this command only: what all the others load would take 8 MB for as long as it runs. */
export function verifyProgram(): Command {
  const { program, environment } = rootProgram()
  addVerify(program, environment)
  return program
}
