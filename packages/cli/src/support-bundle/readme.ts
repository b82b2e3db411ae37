import { type Entry, listed, type Missing } from './part.ts'
import { wrapped } from '../status/table.ts'

const WIDTH = 100

/** The bundle's first file: for who reads it before it is sent, and for who gets it. */
export function readme(entries: readonly Entry[], missing: readonly Missing[], at: Date, version: string): string {
  return [
    `clinic-sync ${version}: what an engineer needs to help. Made ${at.toISOString()}.`,
    '',
    ...wrapped(
      'No value of a patient is in here: no name, telephone number, note, day or amount, and no secret. What is in here: names of tables, columns, queues, hosts and databases; versions, settings, figures, times of events; and the keys of records (aligner_notes/5), which lead to a patient only for who has the database. All files are plain text: read them before you send them.',
      WIDTH,
      '',
    ),
    '',
    'FILES',
    ...entries.flatMap(({ path, about }) => listed(path, about)),
    '',
    missing.length === 0 ? 'Nothing is missing.' : 'WHAT COULD NOT BE HAD',
    ...missing.flatMap(({ what, why }) => listed(what, why)),
    '',
  ].join('\n')
}
