import type { Key } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'
import { SyncError } from '@clinic-sync/sync'
import { gatherRecord, type RecordPorts } from './gather.ts'
import { type RecordStory, storyOf } from './story.ts'

export interface ExplainOptions {
  /** Patients' data, for whoever asked for it. */
  readonly showValues: boolean
  /** For each part. Milliseconds. */
  readonly patienceMs?: number
}

/** Rulings whose values are fetched. */
const FETCHED = 10

/**
 * One record's story: whether both sides agree on it, what is on its way, what failed, what happens next, what could be done. Never
 * rejects: who cannot be asked is named in it.
 */
export async function explainRecord(
  ports: RecordPorts,
  table: TableName,
  key: Key,
  { showValues, patienceMs }: ExplainOptions,
): Promise<RecordStory> {
  const look = async () => storyOf(await gatherRecord(ports, table, key, patienceMs), showValues)
  const first = await look()
  // A change may have arrived between the looks at the one side and at the other: such a difference is gone by now, and such an edit not lost.
  const story = isDoubtful(first) ? await look() : first
  return showValues ? { ...story, rulings: await withValues(ports, story.rulings) } : story
}

const isDoubtful = ({ equal, outlook }: RecordStory) => outlook === 'failed' || (equal === false && outlook === 'none')

async function withValues(ports: RecordPorts, rulings: RecordStory['rulings']): Promise<RecordStory['rulings']> {
  const found: RecordStory['rulings'][number][] = []
  for (const [index, ruling] of rulings.entries()) {
    const side = ruling.id.startsWith('clinic/') ? ports.clinic : ports.portal
    try {
      const values = index < FETCHED ? await side.ruledValues(ruling.id) : null
      found.push(values === null ? ruling : { ...ruling, values: values.values })
    } catch (error) {
      // It could be asked a moment ago; the story stands without.
      if (!(error instanceof SyncError)) throw error
      found.push(ruling)
    }
  }
  return found
}
