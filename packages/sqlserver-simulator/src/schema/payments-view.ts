import { type ColumnDefinition, column } from '../engine/definition.ts'
import { type Access, type Found, type Relation, tableRelation, visible } from '../engine/relation.ts'
import type { Table } from '../engine/table.ts'
import { fits } from '../values/decimal.ts'
import { SqlError } from '../values/errors.ts'
import type { SqlValue } from '../values/types.ts'

const COLUMNS: readonly ColumnDefinition[] = [
  column('AlignerSetID', 'int'),
  column('TotalPaid', 'decimal(10,2)'),
  column('Balance', 'decimal(10,2)'),
  column('PaymentStatus', 'nvarchar(20)'),
]

const money = (value: bigint): bigint => {
  if (!fits(value, 10)) throw new SqlError(8115, 'Arithmetic overflow error converting numeric to data type numeric.')
  return value
}

/** `dbo.vw_AlignerSetPayments`: what was paid for each set, and what is left. */
export function paymentsView(sets: Table, invoices: Table): Relation {
  const [setId, cost] = [sets.ordinal('AlignerSetID'), sets.ordinal('SetCost')]
  const [invoiceSet, amount] = [invoices.ordinal('AlignerSetID'), invoices.ordinal('Amountpaid')]
  const ofSet = invoices.index([invoiceSet])

  function row(set: Found, access: Access): Found {
    const id = set.values[setId] as SqlValue
    let paid = 0n
    for (const invoice of ofSet?.find([id]) ?? []) {
      if (visible(invoice, access) && invoice.values[invoiceSet] === id)
        paid += BigInt(invoice.values[amount] as number) * 100n
    }
    const price = set.values[cost] as bigint | null
    const status =
      price === null || price === 0n ? 'No Cost Set' : paid === 0n ? 'Unpaid' : paid < price ? 'Partial' : 'Paid'
    return { row: null, values: [id, money(paid), price === null ? null : money(price - paid), status] }
  }

  const base = tableRelation(sets)
  return {
    name: 'vw_AlignerSetPayments',
    columns: COLUMNS,
    *scan(access) {
      for (const set of base.scan(access)) yield row(set, access)
    },
    lookup(ordinal, access) {
      const find = ordinal === 0 ? base.lookup(setId, access) : null
      if (find === null) return null
      return function* (value) {
        for (const set of find(value)) yield row(set, access)
      }
    },
  }
}
