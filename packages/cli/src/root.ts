import { readFileSync } from 'node:fs'
import type { Environment } from '@clinic-sync/runtime'
import { Command } from 'commander'
import { environmentFrom } from './environment.ts'

/** The version that is installed: this package's, which all packages share. */
export const VERSION = versionIn(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

/** `sync` without its commands, and the settings, which are read once a command runs: the option may stand before or behind its name. */
export function rootProgram(): { readonly program: Command; readonly environment: () => Environment } {
  const program = new Command('sync')
    .version(VERSION, '-V, --version', 'say which version of clinic-sync this is')
    .description('Commands for the operator of clinic-sync. Settings come from the environment and .env.')
    .option('--env-file <file>', 'read the settings that the environment lacks from this file (default: .env)')
    .showHelpAfterError()
  return { program, environment: () => environmentFrom(program.opts<{ envFile?: string }>().envFile) }
}

function versionIn(text: string): string {
  const { version } = JSON.parse(text) as { version: string }
  return version
}
