import { decimal, int, table, text } from '../define.ts'

export const alignerSetPayments = table('aligner_set_payments', {
  clinic: 'vw_AlignerSetPayments',
  clinicIsView: true,
  key: int('aligner_set_id', 'AlignerSetID', { notNull: true }),
  columns: [
    decimal('total_paid', 'TotalPaid', 10, 2),
    decimal('balance', 'Balance', 10, 2),
    text('payment_status', 'PaymentStatus', 20),
  ],
  parents: [{ column: 'aligner_set_id', table: 'aligner_sets' }],
  // The portal's CHECK knows no such status: a set without a cost has no payments row there.
  scope: { kind: 'except', column: 'payment_status', value: 'No Cost Set' },
  sources: [
    {
      table: 'tblAlignerSets',
      key: 'AlignerSetID',
      columns: [
        { clinic: 'SetCost', clinicType: 'decimal(10,2)' },
        { clinic: 'Currency', clinicType: 'nvarchar(3)' },
      ],
    },
    {
      table: 'tblInvoice',
      key: 'AlignerSetID',
      columns: [{ clinic: 'Amountpaid', clinicType: 'int' }],
    },
  ],
})
