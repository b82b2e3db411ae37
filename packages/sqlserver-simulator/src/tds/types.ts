import { THIRDS_A_DAY, TICKS_A_DAY } from '../values/calendar.ts'
import { decodeCodePage, encodeCodePage } from '../values/codepage.ts'
import { unsupported } from '../values/errors.ts'
import {
  BIGINT,
  BIT,
  datetime2,
  decimal,
  INT,
  isUnicode,
  MAX,
  NULL,
  type SqlType,
  type SqlValue,
  type,
} from '../values/types.ts'
import type { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** Arabic_CI_AS: LCID 0x0401, ignoring case, kana and width; sort id 0 (MS-TDS 2.2.5.1.2). */
export const COLLATION = Buffer.from([0x01, 0x04, 0xd0, 0x00, 0x00])
const PLP = 0xffff
const PLP_NULL = 0xffffffffffffffffn
const CHUNK = 1 << 20

const decimalBytes = (precision: number) => (precision <= 9 ? 5 : precision <= 19 ? 9 : precision <= 28 ? 13 : 17)
const timeBytes = (scale: number) => (scale <= 2 ? 3 : scale <= 4 ? 4 : 5)

/** Writes TYPE_INFO (MS-TDS 2.2.5.6). All types are sent in their nullable forms. */
export function writeType(w: Writer, t: SqlType): void {
  switch (t.kind) {
    case 'null':
    case 'int':
      w.u8(0x26).u8(4)
      return
    case 'tinyint':
      w.u8(0x26).u8(1)
      return
    case 'smallint':
      w.u8(0x26).u8(2)
      return
    case 'bigint':
      w.u8(0x26).u8(8)
      return
    case 'bit':
      w.u8(0x68).u8(1)
      return
    case 'decimal':
      w.u8(0x6a).u8(decimalBytes(t.precision)).u8(t.precision).u8(t.scale)
      return
    case 'float':
    case 'real':
      w.u8(0x6d).u8(8)
      return
    case 'date':
      w.u8(0x28)
      return
    case 'datetime':
      w.u8(0x6f).u8(8)
      return
    case 'datetime2':
      w.u8(0x2a).u8(t.scale)
      return
    case 'nvarchar':
    case 'nchar':
      w.u8(t.kind === 'nchar' ? 0xef : 0xe7)
        .u16(t.length === MAX ? PLP : t.length * 2)
        .bytes(COLLATION)
      return
    case 'varchar':
    case 'char':
      w.u8(t.kind === 'char' ? 0xaf : 0xa7)
        .u16(t.length === MAX ? PLP : t.length)
        .bytes(COLLATION)
      return
    default:
      w.u8(t.kind === 'binary' ? 0xad : 0xa5).u16(t.length === MAX ? PLP : t.length)
  }
}

/** Writes a value of that type, as a ROW or RETURNVALUE has it. */
export function writeValue(w: Writer, t: SqlType, v: SqlValue): void {
  switch (t.kind) {
    case 'nvarchar':
    case 'nchar':
      return writeLong(w, t, v === null ? null : Buffer.from(v as string, 'utf16le'))
    case 'varchar':
    case 'char':
      return writeLong(w, t, v === null ? null : encodeCodePage(v as string))
    case 'varbinary':
    case 'binary':
      return writeLong(w, t, v as Buffer | null)
    default:
  }
  if (v === null) {
    w.u8(0)
    return
  }
  switch (t.kind) {
    case 'null':
    case 'int':
      w.u8(4).i32(v as number)
      return
    case 'tinyint':
      w.u8(1).u8(v as number)
      return
    case 'smallint':
      w.u8(2).u16((v as number) & 0xffff)
      return
    case 'bigint':
      w.u8(8).i64(v as bigint)
      return
    case 'bit':
      w.u8(1).u8(v ? 1 : 0)
      return
    case 'float':
    case 'real':
      w.u8(8).f64(v as number)
      return
    case 'decimal': {
      const [value, bytes] = [v as bigint, decimalBytes(t.precision)]
      w.u8(bytes)
        .u8(value < 0n ? 0 : 1)
        .uint(value < 0n ? -value : value, bytes - 1)
      return
    }
    case 'date':
      w.u8(3).uint(BigInt(v as number), 3)
      return
    case 'datetime': {
      const day = Math.floor((v as number) / THIRDS_A_DAY)
      w.u8(8)
        .i32(day)
        .u32((v as number) - day * THIRDS_A_DAY)
      return
    }
    default: {
      const [ticks, bytes] = [v as bigint, timeBytes(t.scale)]
      w.u8(bytes + 3)
        .uint((ticks % TICKS_A_DAY) / 10n ** BigInt(7 - t.scale), bytes)
        .uint(ticks / TICKS_A_DAY, 3)
    }
  }
}

function writeLong(w: Writer, t: SqlType, bytes: Buffer | null): void {
  if (t.length !== MAX) {
    if (bytes === null) w.u16(0xffff)
    else w.u16(bytes.length).bytes(bytes)
    return
  }
  if (bytes === null) {
    w.u64(PLP_NULL)
    return
  }
  w.u64(BigInt(bytes.length))
  for (let at = 0; at < bytes.length; at += CHUNK) {
    const part = bytes.subarray(at, at + CHUNK)
    w.u32(part.length).bytes(part)
  }
  w.u32(0)
}

export interface TypedValue {
  readonly type: SqlType
  readonly value: SqlValue
}

/** Reads a parameter's TYPE_INFO and value. @throws SqlError for types that are not supported */
export function readTyped(r: Reader): TypedValue {
  const code = r.u8()
  switch (code) {
    case 0x1f:
      return { type: NULL, value: null }
    case 0x26:
      return readInteger(r, r.u8())
    case 0x30:
      return { type: type('tinyint'), value: r.u8() }
    case 0x34:
      return { type: type('smallint'), value: r.i16() }
    case 0x38:
      return { type: INT, value: r.i32() }
    case 0x7f:
      return { type: BIGINT, value: r.i64() }
    case 0x32:
      return { type: BIT, value: r.u8() !== 0 }
    case 0x68:
      r.u8()
      return { type: BIT, value: r.u8() === 0 ? null : r.u8() !== 0 }
    case 0x6d: {
      const size = r.u8()
      const length = r.u8()
      return {
        type: type(size === 4 ? 'real' : 'float'),
        value: length === 0 ? null : length === 4 ? r.f32() : r.f64(),
      }
    }
    case 0x6a:
    case 0x6c:
    case 0x37:
    case 0x3f:
      return readDecimal(r)
    case 0x6e:
      return readMoney(r)
    case 0x28:
      return { type: type('date'), value: r.u8() === 0 ? null : Number(r.uint(3)) }
    case 0x6f:
      return readDatetime(r)
    case 0x2a:
      return readDatetime2(r)
    case 0xe7:
    case 0xef:
      return readLong(r, code === 0xe7 ? 'nvarchar' : 'nchar')
    case 0xa7:
    case 0xaf:
      return readLong(r, code === 0xa7 ? 'varchar' : 'char')
    case 0xa5:
    case 0xad:
      return readLong(r, code === 0xa5 ? 'varbinary' : 'binary')
    default:
      throw unsupported(`parameters of the type ${NAMES[code] ?? `0x${code.toString(16)}`}`)
  }
}
const NAMES: Readonly<Record<number, string>> = {
  0x29: 'time',
  0x2b: 'datetimeoffset',
  0x24: 'uniqueidentifier',
  0xf3: 'table',
  0x62: 'sql_variant',
  0xf1: 'xml',
  0x22: 'image',
  0x23: 'text',
  0x63: 'ntext',
  0xf0: 'udt',
}

function readInteger(r: Reader, size: number): TypedValue {
  const of = size === 1 ? type('tinyint') : size === 2 ? type('smallint') : size === 4 ? INT : BIGINT
  const length = r.u8()
  if (length === 0) return { type: of, value: null }
  return { type: of, value: length === 1 ? r.u8() : length === 2 ? r.i16() : length === 4 ? r.i32() : r.i64() }
}

function readDecimal(r: Reader): TypedValue {
  r.u8()
  const of = decimal(r.u8(), r.u8())
  const length = r.u8()
  if (length === 0) return { type: of, value: null }
  const positive = r.u8() === 1
  const value = r.uint(length - 1)
  return { type: of, value: positive ? value : -value }
}

function readMoney(r: Reader): TypedValue {
  const of = decimal(r.u8() === 4 ? 10 : 19, 4)
  const length = r.u8()
  if (length === 0) return { type: of, value: null }
  if (length === 4) return { type: of, value: BigInt(r.i32()) }
  const high = BigInt(r.i32())
  return { type: of, value: (high << 32n) | BigInt(r.u32()) }
}

function readDatetime(r: Reader): TypedValue {
  const size = r.u8()
  const length = r.u8()
  if (size === 4) throw unsupported('parameters of the type smalldatetime')
  if (length === 0) return { type: type('datetime'), value: null }
  const days = r.i32()
  return { type: type('datetime'), value: days * THIRDS_A_DAY + r.u32() }
}

function readDatetime2(r: Reader): TypedValue {
  const scale = r.u8()
  const length = r.u8()
  if (length === 0) return { type: datetime2(scale), value: null }
  const time = r.uint(length - 3) * 10n ** BigInt(7 - scale)
  return { type: datetime2(scale), value: r.uint(3) * TICKS_A_DAY + time }
}

function readLong(r: Reader, kind: 'nvarchar' | 'nchar' | 'varchar' | 'char' | 'varbinary' | 'binary'): TypedValue {
  const limit = r.u16()
  if (kind !== 'varbinary' && kind !== 'binary') r.skip(5)
  const unit = kind === 'nvarchar' || kind === 'nchar' ? 2 : 1
  const of = type(kind, limit === PLP ? MAX : Math.max(1, limit / unit))
  const bytes = limit === PLP ? readChunks(r) : readShort(r)
  if (bytes === null || kind === 'varbinary' || kind === 'binary')
    return { type: of, value: bytes === null ? null : Buffer.from(bytes) }
  return { type: of, value: isUnicode(of) ? bytes.toString('utf16le') : decodeCodePage(bytes) }
}
function readShort(r: Reader): Buffer | null {
  const length = r.u16()
  return length === 0xffff ? null : r.bytes(length)
}
function readChunks(r: Reader): Buffer | null {
  const total = r.u64()
  if (total === PLP_NULL) return null
  const parts: Buffer[] = []
  for (let length = r.u32(); length > 0; length = r.u32()) parts.push(r.bytes(length))
  return Buffer.concat(parts)
}
