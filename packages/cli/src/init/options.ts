import { readFileSync } from 'node:fs'
import { NOT_UTF8, readTextFile, type Settings } from '@clinic-sync/runtime'
import { SyncError } from '@clinic-sync/sync'

/** Every answer as a flag. What is missing is asked for on a terminal, and is an error elsewhere unless there is a default. */
export interface InitOptions {
  readonly run?: 'docker' | 'node'
  /** An address with the login that installs and without its password. */
  readonly sqlserver?: string
  readonly sqlserverPasswordFile?: string
  readonly sqlserverCa?: string
  readonly postgres?: string
  readonly postgresPasswordFile?: string
  readonly postgresCa?: string
  /** Fingerprints (SHA-256) of certificates that nobody known has signed and that are to be trusted all the same. */
  readonly trustCertificate?: readonly string[]
  readonly rabbitmq?: string
  readonly login: string
  readonly timeZone?: string
  /** The ingress's, on this machine. */
  readonly port?: string
  readonly clinicDoorbell?: Settings['CLINIC_DOORBELL']
  /** Where SQL Server finds the ingress, for the doorbells that call it. */
  readonly doorbellUrl?: string
  readonly portalDoorbell?: Settings['PORTAL_DOORBELL']
  readonly publicUrl?: string
  readonly withPortalTables?: boolean
  readonly install?: boolean
  readonly enableBroker?: boolean
  readonly forgetAdmin?: boolean
  readonly newSecrets?: boolean
  readonly overwrite?: boolean
  /** False: ask nothing, even on a terminal. */
  readonly input: boolean
}

export interface Passwords {
  readonly sqlserver: string | undefined
  readonly postgres: string | undefined
}

/**
 * The passwords of the logins that install, from a file, standard input (`-`; the SQL Server's line first where both come from
 * there) or the environment (SQLSERVER_PASSWORD, POSTGRES_PASSWORD): never from an argument, which every process can read.
 *
 * @throws SyncError SYNC_USAGE if a file cannot be read, or is not UTF-8.
 */
export function readPasswords(
  { sqlserverPasswordFile, postgresPasswordFile }: Pick<InitOptions, 'sqlserverPasswordFile' | 'postgresPasswordFile'>,
  environment: Readonly<Record<string, string | undefined>>,
  stdin: () => string = () => readFileSync(0, 'utf8'),
): Passwords {
  let lines: string[] | undefined
  const from = (file: string | undefined, option: string, variable: string): string | undefined => {
    if (file === undefined) return environment[variable] || undefined
    if (file === '-') {
      lines ??= stdin().split(/\r?\n/)
      return lines.shift() || undefined
    }
    let text: string | null
    try {
      text = readTextFile(file)
    } catch (cause) {
      throw new SyncError('SYNC_USAGE', `The file that ${option} names cannot be read.`, { cause })
    }
    if (text === null) throw new SyncError('SYNC_USAGE', `The file that ${option} names ${NOT_UTF8}.`)
    return text.replace(/\r?\n$/, '')
  }
  return {
    sqlserver: from(sqlserverPasswordFile, '--sqlserver-password-file', 'SQLSERVER_PASSWORD'),
    postgres: from(postgresPasswordFile, '--postgres-password-file', 'POSTGRES_PASSWORD'),
  }
}
