import { boolean, date, decimal, instant, int, table, text } from '../define.ts'

export const alignerSets = table('aligner_sets', {
  clinic: 'tblAlignerSets',
  key: int('aligner_set_id', 'AlignerSetID', { notNull: true }),
  columns: [
    int('work_id', 'WorkID', { notNull: true }),
    int('aligner_dr_id', 'AlignerDrID', { notNull: true }),
    int('set_sequence', 'SetSequence'),
    text('type', 'Type', 50),
    int('upper_aligners_count', 'UpperAlignersCount'),
    int('lower_aligners_count', 'LowerAlignersCount'),
    int('remaining_upper_aligners', 'RemainingUpperAligners'),
    int('remaining_lower_aligners', 'RemainingLowerAligners'),
    date('creation_date', 'CreationDate'),
    int('days', 'Days'),
    boolean('is_active', 'IsActive'),
    text('notes', 'Notes', 255),
    text('folder_path', 'FolderPath', 255),
    text('set_url', 'SetUrl', 2000),
    text('set_pdf_url', 'SetPdfUrl', 2000),
    decimal('set_cost', 'SetCost', 10, 2),
    text('currency', 'Currency', 3),
    instant('pdf_uploaded_at', 'PdfUploadedAt', 'datetime'),
    text('pdf_uploaded_by', 'PdfUploadedBy', 255),
    text('drive_file_id', 'DriveFileId', 255),
  ],
  parents: [
    { column: 'work_id', table: 'work' },
    { column: 'aligner_dr_id', table: 'aligner_doctors' },
  ],
})
