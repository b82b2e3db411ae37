import t from 'tap'
import { MessageReader } from '../../src/tds/packets.ts'
import { Reader } from '../../src/tds/reader.ts'
import { readTyped, writeType, writeValue } from '../../src/tds/types.ts'
import { Writer } from '../../src/tds/writer.ts'
import {
  BIGINT,
  BIT,
  datetime2,
  decimal,
  INT,
  MAX,
  nvarchar,
  type SqlType,
  type SqlValue,
  type,
} from '../../src/values/types.ts'

const packet = (kind: number, status: number, body: string) => {
  const bytes = Buffer.from(body)
  const header = Buffer.from([kind, status, 0, bytes.length + 8, 0, 0, 1, 0])
  return Buffer.concat([header, bytes])
}

t.test('messages come together from packets, however the stream is cut', async (t) => {
  const stream = Buffer.concat([
    packet(1, 0, 'ab'),
    packet(1, 1, 'cd'),
    packet(3, 1, ''),
    packet(1, 3, 'taken back'),
    packet(1, 9, 'e'),
  ])
  for (const size of [1, 3, 8, 11, 1000]) {
    const reader = new MessageReader()
    const found = []
    for (let at = 0; at < stream.length; at += size) {
      for (const { kind, body, reset, ignored } of reader.read(Buffer.from(stream.subarray(at, at + size))))
        if (!ignored) found.push([kind, body.toString(), reset])
    }
    t.strictSame(
      found,
      [
        [1, 'abcd', false],
        [3, '', false],
        [1, 'e', true],
      ],
      `in pieces of ${size}`,
    )
  }
})

t.test('what cannot be TDS', async (t) => {
  t.throws(() => [...new MessageReader().read(Buffer.from([1, 1, 0, 3, 0, 0, 0, 0]))], RangeError)
})

t.test('every type survives its way out and in', async (t) => {
  const cases: [SqlType, SqlValue][] = [
    [INT, -2_147_483_648],
    [type('tinyint'), 255],
    [type('smallint'), -32_768],
    [BIGINT, 2n ** 63n - 1n],
    [BIT, true],
    [type('float'), 0.1],
    [decimal(10, 2), -9_999_999_999n],
    [decimal(38, 0), 10n ** 38n - 1n],
    [type('date'), 0],
    [type('date'), 3_652_058],
    [type('datetime'), -1],
    [type('datetime'), 25_919_999],
    [datetime2(7), 123_456_789_012_345_678n],
    [datetime2(0), 630_000_000_000_000_000n],
    [nvarchar(10), 'ز😀'],
    [nvarchar(MAX), 'x'.repeat(3_000_000)],
    [nvarchar(MAX), ''],
    [type('nchar', 4), 'ab  '],
    [type('varchar', 10), 'علي?'],
    [type('varbinary', MAX), Buffer.from([0, 255])],
  ]
  for (const [of, value] of cases) {
    for (const v of [value, null]) {
      const w = new Writer()
      writeType(w, of)
      writeValue(w, of, v)
      const r = new Reader(w.toBuffer())
      t.ok(same(readTyped(r).value, v), `${of.kind}(${of.length}) ${v === null ? 'null' : ''}`)
      t.ok(r.atEnd)
    }
  }
})
const same = (a: SqlValue, b: SqlValue) => (Buffer.isBuffer(a) && Buffer.isBuffer(b) ? a.equals(b) : a === b)

t.test('types that are not supported are named', async (t) => {
  t.throws(() => readTyped(new Reader(Buffer.from([0x24, 16, 0]))), { message: /uniqueidentifier/ })
  t.throws(() => readTyped(new Reader(Buffer.from([0xf3]))), { message: /table/ })
})
