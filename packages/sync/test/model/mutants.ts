import { sharedColumns, type Table } from '@clinic-sync/mapping'
import type { ClinicRecord, PortalEdit, Ruling, Values } from '../../src/index.ts'
import { RULES } from './schedule.ts'
import type { Rules } from './world.ts'

const { rule, apply, capture } = RULES

const isOld = ({ outcome }: { outcome: string }) => outcome === 'duplicate' || outcome === 'stale'
const isRecorded = (said: Ruling) => said.outcome !== 'dead' && !isOld(said)

/** The clinic rules on something else than it should; what it puts aside changes nothing all the same. */
const ruling = (at: (known: ClinicRecord, edit: PortalEdit, table: Table) => [ClinicRecord, PortalEdit]): Rules => ({
  ...RULES,
  rule(table, key, known, edit, types) {
    const said = rule(table, key, ...at(known, edit, table), types)
    return isRecorded(said) ? said : { ...said, record: known }
  },
})

/** The clinic rules as it should, and something else comes of it. */
const ruled = (change: (said: Ruling, before: ClinicRecord, edit: PortalEdit) => Ruling): Rules => ({
  ...RULES,
  rule: (table, key, known, edit, types) => change(rule(table, key, known, edit, types), known, edit),
})

/** The bookkeeping after a ruling is another one. */
const noted = (when: (said: Ruling) => boolean, change: (said: ClinicRecord, before: ClinicRecord) => ClinicRecord) =>
  ruled((said, before) => (when(said) ? { ...said, record: change(said.record, before) } : said))

/** The portal applies something else than it should; what is old changes nothing all the same. */
const applying = (mutated: Rules['apply']): Rules => ({
  ...RULES,
  apply(table, record, change) {
    const applied = mutated(table, record, change)
    return isOld(applied) ? { ...applied, record } : applied
  },
})

const capturing = (mutated: Rules['capture']): Rules => ({ ...RULES, capture: mutated })

/** A base that no value equals where `row` has the base's value. */
const unlike = (table: Table, base: Values | null, row: Values | null): Values | null =>
  base &&
  Object.fromEntries(
    sharedColumns(table).map(({ name }) => [
      name,
      row !== null && base[name] === row[name] ? '?' : (base[name] ?? null),
    ]),
  )

/** What the design says each rule is needed for ("Applying", the last paragraph on the model). */
export const DESIGN: Readonly<Record<string, Rules>> = {
  'no in-flight guard': applying((table, record, change) => {
    return apply(table, { ...record, since: null, base: null }, change)
  }),
  'no requeue': ruled((said) => ({ ...said, queue: null })),
  'no rule 2': ruling((known, edit, table) => [
    { ...known, reported: unlike(table, known.reported, edit.row) },
    { ...edit, base: unlike(table, edit.base, edit.row) },
  ]),
  "the event's base always": ruling((known, edit) => [known, { ...edit, since: null }]),
  'PortalValues always': ruling((known, edit) => [known, { ...edit, since: 0n }]),
  'the previous local value as base': capturing((table, record, row, queueId) => {
    const captured = capture(table, record, row, queueId)
    const { base } = capture(table, { ...record, since: null }, row, queueId).record
    return captured.captured ? { ...captured, record: { ...captured.record, base } } : captured
  }),
  "no version guard of the portal's": applying((table, record, change) => {
    return apply(table, { ...record, clinicVersion: 0n }, change)
  }),
  "no version guard of the clinic's": ruling((known, edit) => {
    return [edit.version <= known.seen ? { ...known, seen: edit.version - 1n } : known, edit]
  }),
}

/** Other ways to get it wrong. */
export const OTHERS: Readonly<Record<string, Rules>> = {
  'rule 3 is missing': ruling((known, edit, table) => {
    // Where the doctor's value is the base as well, rule 2 decides.
    const keeps = (base: Values | null) => edit.row === null || base === null || base['t'] === edit.row['t']
    const other = (base: Values | null) => (keeps(base) ? base : unlike(table, base, known.row))
    return [
      { ...known, reported: other(known.reported) },
      { ...edit, base: other(edit.base) },
    ]
  }),
  'since is the latest edit': capturing((table, record, row, queueId) => {
    const captured = capture(table, record, row, queueId)
    return captured.captured ? { ...captured, record: { ...captured.record, since: queueId } } : captured
  }),
  'the portal is never ruled on': applying((table, record, change) => apply(table, record, { ...change, seen: 0n })),
  'ruled one version too early': applying((table, record, change) => {
    return apply(table, record, { ...change, seen: change.seen + 1n })
  }),
  'edits in flight survive a delete': applying((table, record, change) => {
    const applied = apply(table, record, change)
    const { since, base } = record
    return change.row === null ? { ...applied, record: { ...applied.record, since, base } } : applied
  }),
  "a doctor's delete in flight is undone": applying((table, record, change) => {
    const applied = apply(table, record, change)
    return applied.record.row === null ? { ...applied, record: { ...applied.record, row: change.row } } : applied
  }),
  'unsent edits go with a row unrecorded': applying((table, record, change) => {
    return { ...apply(table, record, change), lost: false }
  }),
  'duplicates are applied again': ruling((known, edit) => {
    return [edit.version === known.seen ? { ...known, seen: edit.version - 1n } : known, edit]
  }),
  'what was deleted is not queued again': ruled((said) => (said.queue === 'DELETE' ? { ...said, queue: null } : said)),
  'only conflicts are queued again': ruled((said) => (said.outcome === 'conflict' ? said : { ...said, queue: null })),
  'what was deleted is inserted again': ruling((known, edit) => [known.row ? known : { ...known, seen: 0n }, edit]),
  'PortalValues are what the clinic has': noted(isRecorded, (said) => ({ ...said, reported: said.row })),
  'PortalValues only where something is written': noted(
    (said) => isRecorded(said) && said.write === null,
    (said, { reported }) => ({ ...said, reported }),
  ),
  'seen only where something is written': noted(
    (said) => isRecorded(said) && said.write === null,
    (said, { seen }) => ({ ...said, seen }),
  ),
  'a dead letter counts as seen': ruled((said, known, { version }) => {
    return said.outcome === 'dead' ? { ...said, record: { ...known, seen: version } } : said
  }),
  'conflicts are not on record': ruled((said) => ({ ...said, conflicts: [] })),
  "every conflict is the clinic's": ruled((said, { row }) => {
    return said.conflicts.length > 0 && row ? { ...said, record: { ...said.record, row } } : said
  }),
}
