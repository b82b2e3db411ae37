import { boolean, date, int, table, text } from '../define.ts'

export const alignerBatches = table('aligner_batches', {
  clinic: 'tblAlignerBatches',
  key: int('aligner_batch_id', 'AlignerBatchID', { notNull: true }),
  columns: [
    int('aligner_set_id', 'AlignerSetID', { notNull: true }),
    int('batch_sequence', 'BatchSequence', { notNull: true }),
    int('upper_aligner_count', 'UpperAlignerCount', { notNull: true }),
    int('lower_aligner_count', 'LowerAlignerCount', { notNull: true }),
    int('upper_aligner_start_sequence', 'UpperAlignerStartSequence'),
    int('upper_aligner_end_sequence', 'UpperAlignerEndSequence', { computed: true }),
    int('lower_aligner_start_sequence', 'LowerAlignerStartSequence'),
    int('lower_aligner_end_sequence', 'LowerAlignerEndSequence', { computed: true }),
    date('manufacture_date', 'ManufactureDate'),
    date('delivered_to_patient_date', 'DeliveredToPatientDate'),
    int('days', 'Days', { shared: 'portal-wins' }),
    int('validity_period', 'ValidityPeriod', { computed: true }),
    date('batch_expiry_date', 'BatchExpiryDate', { computed: true }),
    text('notes', 'Notes', 255),
    boolean('is_active', 'IsActive'),
  ],
  parents: [{ column: 'aligner_set_id', table: 'aligner_sets' }],
})
