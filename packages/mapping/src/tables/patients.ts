import { int, table, text } from '../define.ts'

export const patients = table('patients', {
  clinic: 'tblpatients',
  key: int('person_id', 'PersonID', { notNull: true }),
  columns: [
    text('patient_id', 'patientID', 6),
    text('patient_name', 'PatientName', 255, { notNull: true }),
    text('first_name', 'FirstName', 255),
    text('last_name', 'LastName', 255),
    text('phone', 'Phone', 255),
  ],
  scope: { kind: 'referenced', by: 'work' },
  deletes: { clinic: 'ignore', portal: 'restore' },
})
