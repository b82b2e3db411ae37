import { int, table, text } from '../define.ts'

export const alignerDoctors = table('aligner_doctors', {
  clinic: 'AlignerDoctors',
  key: int('dr_id', 'DrID', { notNull: true }),
  columns: [
    text('doctor_name', 'DoctorName', 100, { notNull: true }),
    // Unique in the portal, not in the clinic: the second doctor with an address is a permanent failure.
    text('doctor_email', 'DoctorEmail', 255),
    text('logo_path', 'LogoPath', 100),
  ],
  uniqueInPortal: ['doctor_email'],
  deletes: { clinic: 'ignore', portal: 'restore' },
})
