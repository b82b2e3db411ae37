import { instant, int, table } from '../define.ts'

export const work = table('work', {
  clinic: 'tblwork',
  key: int('work_id', 'workid', { notNull: true }),
  columns: [
    int('person_id', 'PersonID', { notNull: true }),
    int('type_of_work', 'Typeofwork', { notNull: true }),
    instant('addition_date', 'AdditionDate', 'datetime2(0)'),
  ],
  parents: [{ column: 'person_id', table: 'patients' }],
  scope: { kind: 'referenced', by: 'aligner_sets' },
  deletes: { clinic: 'ignore', portal: 'restore' },
})
