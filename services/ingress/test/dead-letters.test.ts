import t from 'tap'
import { versionsOf } from '../src/dead-letters.ts'

t.test(
  "a direction's dead letters are asked of the outbox that they come from; an unknown table is nobody's",
  async (t) => {
    const asked: string[] = []
    const outbox = (side: string, supersededBy: string | null) => ({
      recordVersions: async (records: readonly { table: 'aligner_notes'; key: number; version: string }[]) => {
        asked.push(...records.map(({ table, key, version }) => `${side} ${table}/${key}@${version}`))
        return records.map((record) => ({ ...record, status: null, reason: null, supersededBy }))
      },
    })
    const ask = versionsOf({ clinic: outbox('clinic', '9') as never, portal: outbox('portal', null) as never })
    const records = [
      { table: 'no_table', key: 1, version: '1' },
      { table: 'aligner_notes', key: 5, version: '3' },
    ]
    t.same(await ask('sql-to-postgres', records), [{ supersededBy: null }, { supersededBy: '9' }])
    t.same(await ask('postgres-to-sql', records), [{ supersededBy: null }, { supersededBy: null }])
    t.same(asked, ['clinic aligner_notes/5@3', 'portal aligner_notes/5@3'])
  },
)
