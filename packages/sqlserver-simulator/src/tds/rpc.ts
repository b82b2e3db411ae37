import { Reader } from './reader.ts'
import { readTyped, type TypedValue } from './types.ts'

export interface RpcParameter extends TypedValue {
  /** Without @; empty for one by position. */
  readonly name: string
  readonly output: boolean
  /** The procedure's own default is wanted. */
  readonly byDefault: boolean
}
export interface Rpc {
  readonly name: string
  readonly parameters: readonly RpcParameter[]
}

/** The procedures that are called by number (MS-TDS 2.2.6.6). */
const NUMBERED: Readonly<Record<number, string>> = {
  1: 'sp_cursor',
  2: 'sp_cursoropen',
  3: 'sp_cursorprepare',
  4: 'sp_cursorexecute',
  5: 'sp_cursorprepexec',
  6: 'sp_cursorunprepare',
  7: 'sp_cursorfetch',
  8: 'sp_cursoroption',
  9: 'sp_cursorclose',
  10: 'sp_executesql',
  11: 'sp_prepare',
  12: 'sp_execute',
  13: 'sp_prepexec',
  14: 'sp_prepexecrpc',
  15: 'sp_unprepare',
}

/** Where a request begins, after ALL_HEADERS. */
export const afterHeaders = (body: Buffer): number =>
  body.length >= 4 ? Math.min(body.readUInt32LE(0), body.length) : body.length

/** @throws SqlError for parameters of types that are not supported */
export function readRpc(body: Buffer): Rpc {
  const r = new Reader(body, afterHeaders(body))
  const length = r.u16()
  const name = length === 0xffff ? (NUMBERED[r.u16()] ?? 'unknown') : r.ucs2(length)
  r.u16()
  const parameters: RpcParameter[] = []
  while (!r.atEnd && r.peek() !== 0x80 && r.peek() !== 0xff) {
    const parameter = r.bVarchar().replace(/^@/, '')
    const status = r.u8()
    parameters.push({ name: parameter, output: (status & 1) !== 0, byDefault: (status & 2) !== 0, ...readTyped(r) })
  }
  return { name, parameters }
}
