import { boolean, codePageText, instant, int, table, text } from '../define.ts'

export const alignerNotes = table('aligner_notes', {
  clinic: 'tblAlignerNotes',
  key: int('note_id', 'NoteID', { notNull: true }),
  columns: [
    int('aligner_set_id', 'AlignerSetID', { notNull: true }),
    codePageText('note_type', 'NoteType', 20, { notNull: true }),
    text('note_text', 'NoteText', 'max', { notNull: true, shared: 'clinic-wins' }),
    instant('created_at', 'CreatedAt', 'datetime'),
    boolean('is_edited', 'IsEdited', { shared: 'clinic-wins' }),
    instant('edited_at', 'EditedAt', 'datetime', { shared: 'clinic-wins' }),
    boolean('is_read', 'IsRead', { notNull: true, shared: 'clinic-wins' }),
  ],
  parents: [{ column: 'aligner_set_id', table: 'aligner_sets' }],
  portalInserts: true,
  sharedWhen: { column: 'note_type', equals: 'Doctor' },
})
