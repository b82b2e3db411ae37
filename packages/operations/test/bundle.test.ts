import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tableNamed } from '@clinic-sync/mapping'
import t from 'tap'
import { kindsIn, ownLines, secretsOfUrl, shapesOf, spread, tarGz, withoutSecrets } from '../src/index.ts'

t.test('an archive is what tar itself unpacks: names, texts, modes, and an end', async (t) => {
  const folder = t.testdir()
  const long = `logs/${'x'.repeat(90)}.txt`
  const files = [
    { path: 'README.txt', text: 'short\n' },
    { path: 'empty.json', text: '' },
    { path: long, text: 'مريم ✍️\n'.repeat(5_000) },
    { path: 'block.txt', text: 'a'.repeat(512) },
  ]
  writeFileSync(join(folder, 'a.tar.gz'), tarGz(files, new Date('2026-01-02T03:04:05Z')))
  mkdirSync(join(folder, 'out'))
  const said = execFileSync('tar', ['-xvzf', join(folder, 'a.tar.gz'), '-C', join(folder, 'out')], { stdio: 'pipe' })
  t.equal(said.toString().trim(), files.map(({ path }) => path).join('\n'))
  for (const { path, text } of files) {
    t.equal(readFileSync(join(folder, 'out', path), 'utf8'), text, path)
    t.equal(statSync(join(folder, 'out', path)).mode & 0o777, 0o600)
    t.equal(statSync(join(folder, 'out', path)).mtime.toISOString(), '2026-01-02T03:04:05.000Z')
  }
  for (const path of ['', 'é', 'a b', 'x'.repeat(101)]) t.throws(() => tarGz([{ path, text: '' }]), RangeError)
})

t.test('a shape says why a value does not fit, and nothing of the value', async (t) => {
  const shapes = (row: Record<string, string | null>, target: 'clinic' | 'portal' = 'portal') =>
    new Map(shapesOf(tableNamed('patients'), row as never, target).map((shape) => [shape.column, shape]))
  const name = `${'😀'.repeat(200)}${'ن'.repeat(56)} `
  const inPortal = shapes({ person_id: '7' as never, patient_name: name, last_name: 'a\0b', first_name: null })
  t.strictSame(inPortal.get('patient_name'), {
    column: 'patient_name',
    type: 'text',
    target: 'varchar(255)',
    is: 'value',
    length: { characters: 257, utf16: 457, utf8: 913 },
    kinds: ['blanks at the end', 'arabic letters', 'emoji'],
    trouble: ['257 characters into varchar(255): 2 too many'],
  })
  t.match(inPortal.get('last_name'), { kinds: ['U+0000', 'latin letters'], trouble: [/U\+0000/] })
  t.match(inPortal.get('first_name'), { is: 'null', trouble: [] })
  t.match(inPortal.get('phone'), { is: 'absent' })
  t.match(shapes({ patient_name: null }).get('patient_name'), { trouble: ['null, where the column must not be null'] })
  // SQL Server counts UTF-16 units: what Postgres holds need not fit there.
  const emoji = shapes({ patient_name: '😀'.repeat(128) }, 'clinic').get('patient_name')
  t.strictSame(emoji?.trouble, ['256 UTF-16 units into nvarchar(255): 1 too many'])
  t.notMatch(JSON.stringify([...inPortal, emoji]), /😀|ن/)
})

t.test('numbers, days and instants: digits and ranges, no figure and no day', async (t) => {
  const row = {
    aligner_set_id: 1,
    work_id: 99_999_999_999,
    set_cost: '123456789.125',
    creation_date: '12024-05-17',
    pdf_uploaded_at: '1740-05-17T10:00:00.000Z',
    is_active: true,
  }
  const shapes = (target: 'clinic' | 'portal') =>
    new Map(shapesOf(tableNamed('aligner_sets'), row as never, target).map((shape) => [shape.column, shape]))
  const shaped = shapes('portal')
  t.match(shaped.get('set_cost'), {
    digits: { before: 9, after: 3 },
    trouble: [/^9 digits before the point .* room for 8$/, /^3 digits behind the point .* rounds to 2$/],
  })
  t.match(shaped.get('work_id'), { digits: { before: 11 }, trouble: ['beyond the range of integer'] })
  t.match(shaped.get('creation_date'), { trouble: [/year of four digits/] })
  t.strictSame(shaped.get('is_active'), {
    column: 'is_active',
    type: 'boolean',
    target: 'boolean',
    is: 'value',
    trouble: [],
  })
  t.strictSame(shaped.get('pdf_uploaded_at')?.trouble, [])
  t.match(shapes('clinic').get('pdf_uploaded_at'), { trouble: [/1753/] })
  t.notMatch(JSON.stringify([...shaped]), /12345|2024|1740|-05-17|99999/)
})

t.test('kinds of characters', async (t) => {
  t.strictSame(kindsIn(''), [])
  t.strictSame(kindsIn('Ali 07'), ['blanks', 'digits 0-9', 'latin letters'])
  t.strictSame(kindsIn(' مُ٧é\t'), [
    'tabs',
    'blanks at the start',
    'blanks at the end',
    'other digits',
    'latin letters with marks',
    'arabic letters',
    'combining marks',
  ])
  t.strictSame(kindsIn('e\u0301\u200d\u202e\ud800'), [
    'latin letters',
    'combining marks',
    'marks of direction',
    'joiners and other invisible ones',
    'unpaired surrogate',
    'not in the composed form (NFC)',
  ])
})

t.test('of a saved log our services’ lines are kept, whatever stands before them, and no others', async (t) => {
  const line = (fields: object) =>
    JSON.stringify({ level: 'info', time: '2026-01-02T03:04:05.678Z', name: 'ingress', ...fields, msg: 'x' })
  const { lines, others } = ownLines(
    [
      line({}),
      `ingress-1  | ${line({ key: 7 })}`,
      `Jan 02 03:04:05 host node[7]: ${line({ name: 'sql-to-postgres' })}\r`,
      'DETAIL:  Key (doctor_email)=(a@b.example) already exists.',
      '{"level":"info","msg":"of another program"}',
      line({ name: 'postgres' }),
      line({ level: 30 }),
      line({ time: 'today' }),
      `${line({})} and more`,
      line({ padding: 'x'.repeat(20_000) }),
      '{not JSON}',
      '',
    ].join('\n'),
  )
  t.strictSame(lines, [line({}), line({ key: 7 }), line({ name: 'sql-to-postgres' })])
  t.equal(others, 8)
})

t.test('secrets are cut in every form; words are not', async (t) => {
  const secret = 'p%ss/wörd"4711'
  const clean = withoutSecrets([secret, 'postgres', 'guest', 'short', ...secretsOfUrl('amqp://u:a%2Bb%2Bc-12345@h/v')])
  for (const form of [
    secret,
    JSON.stringify(secret),
    encodeURIComponent(secret),
    Buffer.from(secret).toString('base64'),
    JSON.stringify(JSON.stringify({ secret })),
    Buffer.from(`user:${secret}`).toString('base64'),
    Buffer.from(`us:${secret}.`).toString('base64url'),
    'a+b+c-12345',
    'a%2Bb%2Bc-12345',
  ])
    t.notMatch(clean(`x ${form} y`), /4711|12345|NDcx|Q3MT|0NzEx/, form)
  t.equal(clean('guest of postgres at host h, short'), 'guest of postgres at host h, short')
  t.strictSame(secretsOfUrl('https://h/?token=abc&x=1'), ['https://h/?token=abc&x=1', 'abc'])
  // A webhook's address is a secret in all its parts, but for its host; a password with a # makes no URL.
  const hook = withoutSecrets(
    secretsOfUrl('https://hooks.example/services/T0000004711/abcdefgh4711?x4711xxx=y4711yyy', true),
  )
  t.equal(
    hook('POST /services/T0000004711/abcdefgh4711 to hooks.example: T0000004711, abcdefgh4711, x4711xxx, y4711yyy'),
    'POST [cut] to hooks.example: [cut], [cut], [cut], [cut]',
  )
  t.strictSame(secretsOfUrl('mssql://sa:p#ss@4711@h:1433/v'), ['mssql://sa:p#ss@4711@h:1433/v', 'p#ss@4711'])
})

t.test('of many some of each kind are taken, in their order', async (t) => {
  const all = [...Array.from({ length: 50 }, (_, i) => `a${i}`), 'b0', 'c0', 'c1']
  t.strictSame(
    spread(all, (each) => each.slice(0, 1), 6),
    ['a0', 'a1', 'a2', 'b0', 'c0', 'c1'],
  )
  t.equal(
    spread(all, () => '', 100),
    all,
  )
})
