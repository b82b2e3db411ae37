import type { Command } from 'commander'
import { InvalidArgumentError, Option } from 'commander'
import { SETTINGS } from '@clinic-sync/runtime'
import { isAbandoned, prompter } from './ask.ts'
import { init } from './init.ts'
import { type InitOptions, readPasswords } from './options.ts'

const many = (value: string, before: string[] = []) => [...before, value]

/** `init`: asks on a terminal; elsewhere, and with --no-input, every answer is a flag. */
export function addInit(program: Command): void {
  program
    .command('init')
    .description('ask for the two databases, try each, and write .env and the folder secrets')
    .addOption(new Option('--run <where>', 'where the services will run').choices(['docker', 'node']))
    .option(
      '--sqlserver <url>',
      'the clinic, with the login that installs: mssql://login@host:1433/database (no password in it)',
    )
    .option(
      '--sqlserver-password-file <file>',
      'its password; - reads a line of standard input (or SQLSERVER_PASSWORD in the environment)',
    )
    .option('--sqlserver-ca <file>', 'the certificate to trust for it (PEM)')
    .option(
      '--postgres <url>',
      'the portal, with the role that owns its tables: postgres://user@host:5432/database (no password in it)',
    )
    .option(
      '--postgres-password-file <file>',
      'its password; - reads a line of standard input (or POSTGRES_PASSWORD in the environment)',
    )
    .option('--postgres-ca <file>', 'the certificate to trust for it (PEM; Supabase: SSL Configuration)')
    .option(
      '--trust-certificate <sha256>',
      'trust the certificate with this fingerprint, though nobody known has signed it',
      many,
    )
    .option('--rabbitmq <url>', 'RabbitMQ, without a user, where it is not Docker Compose’s: amqp://host:5672')
    .option('--login <name>', 'the name of the services’ login in both databases', 'clinic_sync_service')
    .option('--time-zone <zone>', 'the zone of the clinic’s wall clock')
    .option('--port <port>', 'the port of this machine at which the ingress listens', port)
    .addOption(new Option('--clinic-doorbell <how>', 'how SQL Server rings').choices(values('CLINIC_DOORBELL')))
    .option(
      '--doorbell-url <url>',
      'where SQL Server finds the ingress, for ole-automation and rest-endpoint: http://host:3000',
    )
    .addOption(new Option('--portal-doorbell <how>', 'how the portal rings').choices(values('PORTAL_DOORBELL')))
    .option('--public-url <url>', 'where Supabase finds the ingress, for --portal-doorbell webhook: https://…')
    .option('--install', 'migrate both databases, make the services’ logins, and switch the doorbell on')
    .option('--no-install', 'only write the files, and print what to run')
    .option('--with-portal-tables', 'with --install: also create the portal’s own tables')
    .option(
      '--enable-broker',
      'with --install: switch Service Broker on, which ends every open transaction in the clinic’s database',
    )
    .option('--forget-admin', 'with --install: keep neither of the logins that install; an upgrade asks for them again')
    .option('--new-secrets', 'make all secrets anew, in place of those of an earlier run')
    .option('--overwrite', 'write .env anew if there is one (a copy is kept)')
    .option('--no-input', 'ask nothing, even on a terminal')
    .action(async (options: InitOptions) => {
      const out = process.stdout
      const asks = options.input && process.stdin.isTTY === true && out.isTTY === true
      try {
        const done = await init({
          options,
          passwords: readPasswords(options, process.env),
          folder: process.cwd(),
          ask: asks ? prompter() : null,
          say: (line) => void out.write(`${line}\n`),
          inContainer: isInContainer(),
          environment: process.env,
          colour: out.isTTY === true && out.hasColors() && process.env.NO_COLOR === undefined,
        })
        // Ends now: a connection that hangs would keep the process for as long as it does.
        await new Promise<void>((resolve) => out.write('', () => resolve()))
        process.exit(done ? 0 : 1)
      } catch (error) {
        if (!isAbandoned(error)) throw error
        out.write('\nInterrupted.\n')
        process.exit(130)
      }
    })
}

function port(text: string): string {
  if (!/^[1-9]\d{0,4}$/.test(text) || Number(text) > 65_535)
    throw new InvalidArgumentError('It is a number up to 65535.')
  return text
}

/** What our image sets. */
const isInContainer = () => /^docker\b/.test(process.env.SYNC_COMMAND ?? '')

/** The values that a setting may have. */
function values(name: 'CLINIC_DOORBELL' | 'PORTAL_DOORBELL'): string[] {
  return [...SETTINGS[name].choices]
}
