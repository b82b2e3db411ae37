import type { Figure, Measure } from '../measure.ts'
import { daysOf, nextTime } from '../load/changes.ts'
import { filled } from '../stage/filled.ts'
import { inMode } from '../stage/mode.ts'
import type { Stage } from '../stage/stage.ts'
import { percentile } from '../statistics.ts'
import { purge, type Side } from './outboxes.ts'

interface Subject {
  readonly side: Side
  readonly table: string
  readonly key: string
  readonly trigger: string
  /** SET's right hand; another value each time. */
  readonly set: (n: number) => string
}

const SUBJECTS: readonly Subject[] = [
  {
    side: 'clinic',
    table: 'dbo.tblpatients',
    key: 'PersonID',
    trigger: 'dbo.trg_sync_tblpatients',
    set: (n) => `Phone = N'0772 ${1_000_000 + n}'`,
  },
  {
    side: 'clinic',
    table: 'dbo.tblAlignerNotes',
    key: 'NoteID',
    trigger: 'dbo.trg_sync_tblAlignerNotes',
    set: (n) => `NoteText = N'Rang the patient, who comes on Thursday; ${n}'`,
  },
  {
    side: 'portal',
    table: 'aligner_notes',
    key: 'note_id',
    trigger: '"00_sync_capture_update"',
    set: (n) => `note_text = 'The patient says that it fits; ${n}'`,
  },
  {
    side: 'portal',
    table: 'aligner_batches',
    key: 'aligner_batch_id',
    trigger: '"00_sync_capture_update"',
    set: (n) => `days = ${daysOf(n)}`,
  },
]

/** Statements with the trigger, then as many without, so often; each figure is of the medians of so many statements. */
const SIZES = [
  { rows: 1, run: 20, turns: 4 },
  { rows: 1_000, run: 3, turns: 4 },
] as const
const FIGURES = 5
/** Single rows that are changed in turn. */
const KEYS = 500

/**
 * What capturing adds to an UPDATE as whoever types it sees it, its commit included: the same statement with the capture trigger
 * and, in turns, without. The services are down, the doorbells as installed. On the clinic it is the simulator that is measured, not
 * SQL Server.
 */
export const triggerCost: Measure = {
  name: 'trigger-cost',
  when: 'once',
  prepare: (stage, scale) => filled(stage, scale),
  async run(stage): Promise<Figure[]> {
    await inMode(stage, 'default')
    await purge(stage)
    await stage.crew.stopAll()
    const figures: Figure[] = []
    for (const subject of SUBJECTS)
      for (const { rows, run, turns } of SIZES) {
        await added(stage, subject, rows, run, 1)
        for (let i = 0; i < FIGURES; i++)
          figures.push({
            name: `capture in the ${subject.side}, UPDATE of ${rows.toLocaleString('en')} ${rows === 1 ? 'row' : 'rows'} of ${subject.table}`,
            unit: '%',
            better: 'less',
            value: await added(stage, subject, rows, run, turns),
          })
      }
    await inMode(stage, 'default')
    await purge(stage)
    return figures
  },
}

/** @returns what the trigger adds, in percent of the statement without it */
async function added(stage: Stage, subject: Subject, rows: number, run: number, turns: number): Promise<number> {
  const { side, table, key, trigger, set } = subject
  const on = await person(stage, side)
  const times = { with: [] as number[], without: [] as number[] }
  const toggle = (enable: boolean) => {
    const word = enable ? 'ENABLE' : 'DISABLE'
    return on.execute(
      side === 'clinic' ? `${word} TRIGGER ${trigger} ON ${table}` : `ALTER TABLE ${table} ${word} TRIGGER ${trigger}`,
    )
  }
  // By key, as people do, and the same rows as seldom as they do. The simulator looks at every row for a range, SQL Server does not.
  const where = (n: number) => (rows === 1 ? `WHERE ${key} = ${(n % KEYS) + 1}` : `WHERE ${key} <= ${rows}`)
  const update = async () => {
    const n = nextTime()
    const since = performance.now()
    await on.execute(
      side === 'clinic' && rows > 1
        ? `UPDATE TOP (${rows}) ${table} SET ${set(n)}`
        : `UPDATE ${table} SET ${set(n)} ${where(n)}`,
    )
    return performance.now() - since
  }
  try {
    for (let turn = 0; turn < turns; turn++)
      // Whichever comes first finds the table as the other left it: they change places.
      for (const what of turn % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const)) {
        await toggle(what === 'with')
        // The first finds nothing prepared.
        await update()
        for (let i = 0; i < run; i++) times[what].push(await update())
      }
  } finally {
    await toggle(true)
    // What was not captured goes with what is.
    await on.execute(`UPDATE ${table} SET ${set(nextTime())} WHERE ${key} <= ${Math.max(rows, KEYS)}`)
    await on.end()
  }
  return (percentile(times.with, 50) / percentile(times.without, 50) - 1) * 100
}

/** Somebody's connection, always the same. */
async function person({ clinic, portal }: Stage, side: Side) {
  if (side === 'clinic')
    return { execute: (text: string) => clinic.request().query(text), end: () => Promise.resolve() }
  const client = await portal.connect()
  return { execute: (text: string) => client.query(text), end: async () => client.release() }
}
