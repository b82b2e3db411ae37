import { openZone } from '@clinic-sync/clinic'
import t from 'tap'

const baghdad = openZone('Asia/Baghdad')

t.test('wall clock to instant and back, exact to the millisecond', async (t) => {
  for (const [wall, instant] of [
    ['2026-01-31 08:15:30.003', '2026-01-31T05:15:30.003Z'],
    ['2026-01-31 08:15:30.007', '2026-01-31T05:15:30.007Z'],
    ['2026-01-31 02:59:59.997', '2026-01-30T23:59:59.997Z'],
    ['1970-01-01 03:00:00.000', '1970-01-01T00:00:00.000Z'],
    ['9999-12-31 23:59:59.997', '9999-12-31T20:59:59.997Z'],
  ] as const) {
    t.equal(baghdad.toInstant(wall), instant, wall)
    t.equal(baghdad.toWall(instant), wall.replace(' ', 'T'), instant)
  }
})

t.test('fractions of any length; digits past the millisecond are cut off', async (t) => {
  for (const [wall, milliseconds] of [
    ['2026-01-31T08:15:30', '000'],
    ['2026-01-31T08:15:30.1', '100'],
    ['2026-01-31 08:15:30.1239999', '123'],
    ['2026-01-31 08:15:30.999999999', '999'],
  ] as const) {
    t.equal(baghdad.toInstant(wall), `2026-01-31T05:15:30.${milliseconds}Z`, wall)
  }
})

t.test('a repeated hour is read the first time, a skipped one moves forward', async (t) => {
  const berlin = openZone('Europe/Berlin')
  t.equal(berlin.toInstant('2026-10-25 02:30:00.000'), '2026-10-25T00:30:00.000Z')
  t.equal(berlin.toInstant('2026-03-29 02:30:00.000'), '2026-03-29T01:30:00.000Z')
  t.equal(berlin.toInstant('2026-03-29 01:59:59.999'), '2026-03-29T00:59:59.999Z')
  t.equal(berlin.toInstant('2026-03-29 03:00:00.000'), '2026-03-29T01:00:00.000Z')
  t.equal(berlin.toWall('2026-10-25T00:30:00.000Z'), '2026-10-25T02:30:00.000')
  t.equal(berlin.toWall('2026-10-25T01:30:00.000Z'), '2026-10-25T02:30:00.000')
})

t.test('summer time as Iraq had it until 2007', async (t) => {
  t.equal(baghdad.toInstant('2007-07-01 12:00:00.000'), '2007-07-01T08:00:00.000Z')
  t.equal(baghdad.toInstant('2008-07-01 12:00:00.000'), '2008-07-01T09:00:00.000Z')
})

t.test('the first and the last day of the calendar survive the shift of the zone', async (t) => {
  const kiritimati = openZone('Pacific/Kiritimati')
  const samoa = openZone('Pacific/Pago_Pago')
  for (const [zone, wall] of [
    [baghdad, '0001-01-01T00:00:00.000'],
    [kiritimati, '0001-01-01T00:00:00.000'],
    [samoa, '9999-12-31T23:59:59.999'],
  ] as const) {
    t.equal(zone.toWall(zone.toInstant(wall)), wall)
  }
  t.match(baghdad.toInstant('0001-01-01 00:00:00.000'), /^0000-12-31T/)
  t.match(samoa.toInstant('9999-12-31 23:59:59.999'), /^\+010000-01-01T/)
})

t.test('what is no time is refused without repeating it', async (t) => {
  for (const wall of ['', 'now', '2026-02-30 00:00:00', '2026-01-31', '0000-01-01 00:00:00', '2026-01-31 24:00:00Z']) {
    t.throws(() => baghdad.toInstant(wall), { name: 'RangeError', message: 'not a wall-clock time' }, wall)
  }
  t.throws(() => baghdad.toWall('yesterday'), { name: 'RangeError', message: 'not an ISO 8601 instant' })
  t.throws(() => baghdad.toWall('+010000-01-01T00:00:00.000Z'), { name: 'RangeError', message: /years/ })
  t.throws(() => openZone('Mars/Olympus'), { name: 'RangeError' })
})
