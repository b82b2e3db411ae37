import { tarGz, withoutSecrets } from '@clinic-sync/operations'
import type { Environment } from '@clinic-sync/runtime'
import { settingsChecks } from '../doctor/settings.ts'
import { doctorPart, statusPart } from './answers.ts'
import { brokerPart } from './broker.ts'
import { logFilesPart } from './log-files.ts'
import { type Collected, collected, type Entry, type Missing, type Part } from './part.ts'
import { readme } from './readme.ts'
import { servicesPart } from './services.ts'
import { secretsIn, settingsPart } from './settings.ts'
import { stuckPart } from './stuck.ts'
import { versionsPart } from './versions.ts'

export interface BundleOptions {
  readonly environment: Environment
  /** Of clinic-sync. */
  readonly version: string
  /** Files of logs to add. */
  readonly logs: readonly string[]
  readonly signal: AbortSignal
}

export interface Bundle {
  /** The `.tar.gz`. */
  readonly content: Buffer
  /** README.txt first. */
  readonly entries: readonly Entry[]
  readonly missing: readonly Missing[]
}

/**
 * Collects everything that may be told of this installation, and packs it. Each part is asked for by itself and within a time: a minute
 * and a half in all where nobody answers. What cannot be had is said in its place. Changes nothing, but that the doctor rings the doorbells.
 */
export async function makeBundle({ environment, version, logs, signal }: BundleOptions): Promise<Bundle> {
  const sources = { environment, settings: settingsChecks(environment).settings, signal }
  const collect = (part: Part): Promise<Collected> => collected(part, sources)
  const status = collect(statusPart)
  const parts = await Promise.all([
    collect(versionsPart(version)),
    collect(settingsPart),
    collect(doctorPart),
    status,
    collect(brokerPart),
    collect(servicesPart),
    // Both look into the dead letters, which one at a time may.
    status.then(() => collect(stuckPart)),
    ...(logs.length === 0 ? [] : [collect(logFilesPart(logs))]),
  ])
  const clean = withoutSecrets(secretsIn(environment))
  const missing = parts.flatMap((part) => part.missing).map(({ what, why }) => ({ what, why: clean(why) }))
  const found = parts.flatMap(({ entries }) => entries).map((entry) => ({ ...entry, text: clean(entry.text) }))
  const at = new Date()
  const about = 'this'
  const index: Entry = { path: 'README.txt', about, text: clean(readme(found, missing, at, version)) }
  const entries = [index, ...found]
  return { content: tarGz(entries, at), entries, missing }
}
