import { column as c, type ColumnDefinition, type TableDefinition, table } from '../engine/definition.ts'
import { nowDatetime, nowDatetime2, today } from '../engine/clock.ts'
import { fold } from '../values/compare.ts'
import { age, endSequence, expiry, validity } from './computed.ts'

// The same tables as clinic-schema.sql, which is what a real engine gets: keep the two equal.

const id = (name: string) => c(name, 'int', { nullable: false, identity: true })
const required = (name: string, type: string, more: Partial<ColumnDefinition> = {}) =>
  c(name, type, { nullable: false, ...more })
const zero = { default: () => false }
const fk = (name: string, column: string, parent: string, cascade = false) => ({
  name,
  column,
  parent: `dbo.${parent}`,
  cascade,
})
const NOTE_TYPES = ['lab', 'doctor']

/** The clinic's tables, parents first. */
export const clinicTables: readonly TableDefinition[] = [
  table('dbo', 'tblpatients', [
    id('PersonID'),
    c('patientID', 'nvarchar(6)'),
    required('PatientName', 'nvarchar(255)'),
    c('Phone', 'nvarchar(255)'),
    c('FirstName', 'nvarchar(255)'),
    c('LastName', 'nvarchar(255)'),
    c('DateofBirth', 'date'),
    c('Gender', 'int'),
    c('Phone2', 'nvarchar(255)'),
    c('AddressID', 'int'),
    c('DateAdded', 'datetime2(0)', { default: () => nowDatetime2(0) }),
    c('Email', 'nchar(255)'),
    c('Language', 'tinyint'),
    c('Notes', 'nvarchar(100)'),
    c('CountryCode', 'nvarchar(5)'),
    c('Age', 'int', { volatile: true, computed: (value) => age(value('DateofBirth'), today()) }),
  ]),
  table(
    'dbo',
    'tblwork',
    [
      id('workid'),
      required('PersonID', 'int'),
      required('TotalRequired', 'int'),
      c('Currency', 'nvarchar(255)'),
      required('Typeofwork', 'int'),
      c('Notes', 'nvarchar(255)'),
      c('AdditionDate', 'datetime2(0)', { default: () => nowDatetime2(0) }),
      c('StartDate', 'date'),
      c('DebondDate', 'date'),
      required('DrID', 'int'),
      required('Status', 'tinyint', { default: () => 1 }),
      c('Discount', 'int'),
    ],
    { foreignKeys: [fk('FK_tblwork_tblpatients', 'PersonID', 'tblpatients')] },
  ),
  table('dbo', 'AlignerDoctors', [
    id('DrID'),
    required('DoctorName', 'nvarchar(100)'),
    c('DoctorEmail', 'nvarchar(255)'),
    c('LogoPath', 'nvarchar(100)'),
  ]),
  table(
    'dbo',
    'tblAlignerSets',
    [
      id('AlignerSetID'),
      required('WorkID', 'int'),
      c('SetSequence', 'int'),
      c('Type', 'nvarchar(50)'),
      c('UpperAlignersCount', 'int'),
      c('LowerAlignersCount', 'int'),
      c('RemainingUpperAligners', 'int'),
      c('RemainingLowerAligners', 'int'),
      c('CreationDate', 'date', { default: today }),
      c('Days', 'int'),
      c('IsActive', 'bit', { default: () => true }),
      c('Notes', 'nvarchar(255)'),
      c('FolderPath', 'nvarchar(255)'),
      required('AlignerDrID', 'int'),
      c('SetUrl', 'nvarchar(2000)'),
      c('SetPdfUrl', 'nvarchar(2000)'),
      c('SetVideo', 'nvarchar(2000)'),
      c('SetCost', 'decimal(10,2)'),
      c('Currency', 'nvarchar(3)'),
      c('PdfUploadedAt', 'datetime'),
      c('PdfUploadedBy', 'nvarchar(255)'),
      c('DriveFileId', 'nvarchar(255)'),
      c('ArchformID', 'int'),
    ],
    {
      unique: [{ name: 'UQ_tblAlignerSets_WorkID_SetSequence', columns: ['WorkID', 'SetSequence'] }],
      foreignKeys: [
        fk('FK_tblAlignerSets_tblwork', 'WorkID', 'tblwork'),
        fk('FK_tblAlignerSets_AlignerDoctors', 'AlignerDrID', 'AlignerDoctors'),
      ],
    },
  ),
  table(
    'dbo',
    'tblAlignerBatches',
    [
      id('AlignerBatchID'),
      required('AlignerSetID', 'int'),
      required('BatchSequence', 'int'),
      required('UpperAlignerCount', 'int'),
      required('LowerAlignerCount', 'int'),
      c('UpperAlignerStartSequence', 'int'),
      c('LowerAlignerStartSequence', 'int'),
      c('UpperAlignerEndSequence', 'int', { computed: (value) => endSequence(value, 'Upper') }),
      c('LowerAlignerEndSequence', 'int', { computed: (value) => endSequence(value, 'Lower') }),
      c('ManufactureDate', 'date'),
      c('DeliveredToPatientDate', 'date'),
      c('Days', 'int'),
      c('ValidityPeriod', 'int', { computed: validity }),
      c('BatchExpiryDate', 'date', { computed: expiry }),
      c('Notes', 'nvarchar(255)'),
      c('IsActive', 'bit', zero),
      required('IsLast', 'bit', zero),
      required('HasUpperTemplate', 'bit', zero),
      required('HasLowerTemplate', 'bit', zero),
      required('CreationDate', 'datetime', { default: () => nowDatetime() }),
    ],
    {
      unique: [{ name: 'UQ_tblAlignerBatches_AlignerSetID_BatchSequence', columns: ['AlignerSetID', 'BatchSequence'] }],
      foreignKeys: [fk('FK_tblAlignerBatches_tblAlignerSets', 'AlignerSetID', 'tblAlignerSets', true)],
    },
  ),
  table(
    'dbo',
    'tblAlignerNotes',
    [
      id('NoteID'),
      required('AlignerSetID', 'int'),
      required('NoteType', 'varchar(20)'),
      required('NoteText', 'nvarchar(max)'),
      c('CreatedAt', 'datetime', { default: () => nowDatetime() }),
      c('IsEdited', 'bit', zero),
      c('EditedAt', 'datetime'),
      required('IsRead', 'bit', zero),
    ],
    {
      foreignKeys: [fk('FK_tblAlignerNotes_tblAlignerSets', 'AlignerSetID', 'tblAlignerSets', true)],
      checks: [
        {
          name: 'CK_tblAlignerNotes_NoteType',
          column: 'NoteType',
          holds: (value) => value === null || NOTE_TYPES.includes(fold(String(value))),
        },
      ],
    },
  ),
  table(
    'dbo',
    'tblInvoice',
    [
      id('invoiceID'),
      c('workid', 'int'),
      c('AlignerSetID', 'int'),
      required('Amountpaid', 'int'),
      c('Dateofpayment', 'date', { default: today }),
    ],
    {
      foreignKeys: [
        fk('FK_tblInvoice_tblwork', 'workid', 'tblwork'),
        fk('FK_tblInvoice_tblAlignerSets', 'AlignerSetID', 'tblAlignerSets'),
      ],
    },
  ),
  table('dbo', 'tblAlignerActivityFlags', [
    id('ActivityID'),
    required('AlignerSetID', 'int'),
    required('ActivityType', 'nvarchar(50)'),
    c('RelatedRecordID', 'int'),
    required('CreatedAt', 'datetime', { default: () => nowDatetime() }),
    required('IsRead', 'bit', zero),
  ]),
]
