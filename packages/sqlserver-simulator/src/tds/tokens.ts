import type { ResultColumn } from '../engine/work.ts'
import type { SqlError } from '../values/errors.ts'
import type { SqlType, SqlValue } from '../values/types.ts'
import { COLLATION, writeType, writeValue } from './types.ts'
import type { Writer } from './writer.ts'

// The token stream of MS-TDS 2.2.7.

export const DONE = 0xfd
export const DONE_PROC = 0xfe
export const DONE_IN_PROC = 0xff
const [MORE, ERROR, COUNT, ATTENTION] = [0x01, 0x02, 0x10, 0x20]

interface Ending {
  readonly count?: number | null
  readonly more?: boolean
  readonly error?: boolean
  readonly attention?: boolean
}

export function writeDone(
  w: Writer,
  token: number,
  { count = null, more = false, error = false, attention = false }: Ending = {},
): void {
  const status = (more ? MORE : 0) | (error ? ERROR : 0) | (count === null ? 0 : COUNT) | (attention ? ATTENTION : 0)
  w.u8(token)
    .u16(status)
    .u16(count === null ? 0 : 0xc1)
    .u64(BigInt(count ?? 0))
}

export function writeError(w: Writer, { number, severity, message, line }: SqlError): void {
  writeMessage(w, 0xaa, number, severity, message, line)
}
export function writeInfo(w: Writer, message: string): void {
  writeMessage(w, 0xab, 0, 0, message, 1)
}
function writeMessage(w: Writer, token: number, number: number, severity: number, text: string, line: number): void {
  const message = text.slice(0, 4000)
  w.u8(token)
    .u16(4 + 1 + 1 + 2 + message.length * 2 + 1 + 'SIMULATOR'.length * 2 + 1 + 4)
    .u32(number)
    .u8(1)
    .u8(severity)
    .usVarchar(message)
    .bVarchar('SIMULATOR')
    .bVarchar('')
    .u32(line)
}

export function writeColumns(w: Writer, columns: readonly ResultColumn[]): void {
  w.u8(0x81).u16(columns.length)
  for (const { name, type, nullable, identity, computed } of columns) {
    const flags = (nullable ? 0x01 : 0) | (computed ? 0x20 : identity ? 0x10 : 0x08)
    w.u32(0).u16(flags)
    writeType(w, type)
    w.bVarchar(name.slice(0, 128))
  }
}
export function writeRow(w: Writer, columns: readonly ResultColumn[], row: readonly SqlValue[]): void {
  w.u8(0xd1)
  for (let i = 0; i < columns.length; i++) writeValue(w, (columns[i] as ResultColumn).type, row[i] ?? null)
}

export function writeReturnStatus(w: Writer, status: number): void {
  w.u8(0x79).i32(status)
}
export function writeReturnValue(w: Writer, ordinal: number, name: string, type: SqlType, value: SqlValue): void {
  w.u8(0xac).u16(ordinal).bVarchar(name).u8(1).u32(0).u16(0x0001)
  writeType(w, type)
  writeValue(w, type, value)
}

export type TransactionChange = 'begin' | 'commit' | 'rollback'
const CHANGES: Readonly<Record<TransactionChange, number>> = { begin: 8, commit: 9, rollback: 10 }

/** ENVCHANGE for a transaction's begin or end. */
export function writeTransactionChange(w: Writer, change: TransactionChange, descriptor: bigint): void {
  w.u8(0xe3).u16(11).u8(CHANGES[change])
  if (change === 'begin') w.u8(8).u64(descriptor).u8(0)
  else w.u8(0).u8(8).u64(descriptor)
}
export function writeReset(w: Writer): void {
  w.u8(0xe3).u16(3).u8(18).u8(0).u8(0)
}

/** What follows a login that was accepted. */
export function writeLogin(w: Writer, database: string, packetSize: number): void {
  environment(w, 1, database, 'master')
  w.u8(0xe3).u16(8).u8(7).u8(5).bytes(COLLATION).u8(0)
  environment(w, 2, 'us_english', '')
  const program = 'Microsoft SQL Server'
  w.u8(0xad)
    .u16(1 + 4 + 1 + program.length * 2 + 4)
    .u8(1)
    .u8(0x74)
    .u8(0)
    .u8(0)
    .u8(4)
    .bVarchar(program)
    .u8(16)
    .u8(0)
    .u8(3)
    .u8(0xe8)
  environment(w, 4, String(packetSize), '4096')
}
function environment(w: Writer, kind: number, now: string, before: string): void {
  w.u8(0xe3)
    .u16(3 + (now.length + before.length) * 2)
    .u8(kind)
    .bVarchar(now)
    .bVarchar(before)
}
