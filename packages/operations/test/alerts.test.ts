import { type AlertMessage as Message, AlertMessage, validatorFor } from '@clinic-sync/contracts'
import t from 'tap'
import {
  ALERT_RULES,
  AlertBook,
  type AlertFacts,
  alertMessage,
  type DirectionFacts,
  type Finding,
  judgeAlerts,
  keyOf,
  testMessage,
} from '../src/index.ts'

const still: DirectionFacts = {
  waitingSeconds: 0,
  heldSeconds: 0,
  unattended: { messages: 0, seconds: 0 },
  unsettled: null,
  unsure: false,
  dead: [],
}
const well: AlertFacts = {
  leads: true,
  rabbitmq: null,
  databases: { clinic: null, portal: null },
  restored: null,
  doorbells: { clinic: null, portal: null },
  directions: { 'sql-to-postgres': still, 'postgres-to-sql': still },
  verification: null,
}
const there = (own: Partial<DirectionFacts>): AlertFacts => ({
  ...well,
  directions: { ...well.directions, 'sql-to-postgres': { ...still, ...own } },
})
const verified = { through: '2026-11-23T14:32:00.000Z', rows: 1523, differences: 0, tables: [] }
const differs = [
  { table: 'aligner_notes', clinicRows: 9, portalRows: 8, kept: 0, differences: 2, stuck: 0, inFlight: 0 },
  { table: 'patients', clinicRows: 9, portalRows: 9, kept: 0, differences: 0, stuck: 0, inFlight: 0 },
]

const CASES: readonly (readonly [what: string, facts: AlertFacts, keys: readonly string[], says?: RegExp])[] = [
  ['all is well', well, []],
  [
    'RabbitMQ',
    { ...well, rabbitmq: { reason: 'Not connected to RabbitMQ.', seconds: 0 } },
    ['rabbitmq'],
    /Check that RabbitMQ runs/,
  ],
  [
    'one that does not lead',
    { ...well, leads: false, restored: 'x', rabbitmq: { reason: 'gone', seconds: 0 } },
    ['rabbitmq'],
  ],
  [
    'a database',
    { ...well, databases: { clinic: null, portal: 'It cannot be reached' } },
    ['portal'],
    /It cannot be reached\. Check/,
  ],
  [
    'a refused login',
    { ...well, databases: { clinic: 'Postgres refused the login', portal: null } },
    ['clinic'],
    /Correct user/,
  ],
  ['a doorbell', { ...well, doorbells: { clinic: 'switched off', portal: null } }, ['doorbell/clinic'], /doctor/],
  [
    'a doorbell of a database that is down: the database',
    {
      ...well,
      doorbells: { clinic: 'cannot be reached', portal: null },
      databases: { clinic: 'cannot be reached', portal: null },
    },
    ['clinic'],
  ],
  ['a restored database: once', { ...there({ waitingSeconds: 500 }), restored: 'It was' }, ['restored']],
  ['a minute of waiting', there({ waitingSeconds: 60 }), ['stalled/sql-to-postgres'], /for 1 min: the ingress's log/],
  ['less than a minute', there({ waitingSeconds: 59.9 }), []],
  [
    'waiting since RabbitMQ is away: RabbitMQ',
    { ...there({ waitingSeconds: 900 }), rabbitmq: { reason: 'It takes no messages', seconds: 0 } },
    ['rabbitmq'],
  ],
  ['a record that somebody holds open', there({ heldSeconds: 900 }), ['stalled/sql-to-postgres'], /open transaction/],
  ['for some minutes', there({ heldSeconds: 600 }), []],
  [
    'nobody takes events',
    there({ unattended: { messages: 12, seconds: 60 } }),
    ['stalled/sql-to-postgres'],
    /Nobody takes the events sql-to-postgres, 12 are waiting/,
  ],
  ['nobody takes none', there({ unattended: { messages: 0, seconds: 900 } }), []],
  ['a service that starts anew', there({ unattended: { messages: 12, seconds: 30 } }), []],
  [
    'nobody takes events while the target is down: the database',
    { ...there({ unattended: { messages: 12, seconds: 900 } }), databases: { clinic: null, portal: 'gone' } },
    ['portal'],
  ],
  [
    'no outcome',
    there({ unsettled: { rows: 1, oldestSeconds: 200 } }),
    ['stalled/sql-to-postgres'],
    /1 change of the clinic's has been sent and got no outcome, the oldest for 3 min/,
  ],
  [
    'dead letters',
    there({
      dead: [
        { cause: '23505', letters: 2 },
        { cause: '2628', letters: 1 },
      ],
    }),
    ['dead-letters/sql-to-postgres'],
    /3 changes sql-to-postgres have failed for good \(23505: 2, 2628: 1\)/,
  ],
  ['dead letters that a later change has superseded', there({ dead: [{ cause: '23505', letters: 0 }] }), []],
  ['equal', { ...well, verification: verified }, []],
  [
    'different',
    { ...well, verification: { ...verified, differences: 2, tables: differs } },
    ['verification'],
    /2 of 1523 records different \(aligner_notes: 2\)/,
  ],
]

t.test('what the facts mean', async (t) => {
  for (const [what, facts, keys, says] of CASES) {
    const { findings } = judgeAlerts(facts)
    t.strictSame(findings.map(keyOf), keys, what)
    if (says !== undefined) t.match(findings[0]?.problems.join(' '), says, what)
  }
})

t.test('what cannot be known now is neither well nor wrong', async (t) => {
  const unknown = (facts: AlertFacts) => [...judgeAlerts(facts).unknown].sort()
  t.strictSame(unknown({ ...well, verification: verified }), [])
  t.strictSame(unknown({ ...well, leads: false, verification: verified }), [
    'clinic',
    'dead-letters/postgres-to-sql',
    'dead-letters/sql-to-postgres',
    'doorbell/clinic',
    'doorbell/portal',
    'portal',
    'restored',
    'stalled/postgres-to-sql',
    'stalled/sql-to-postgres',
    'verification',
  ])
  t.strictSame(unknown({ ...well, databases: { clinic: 'gone', portal: null } }), [
    'doorbell/clinic',
    'stalled/postgres-to-sql',
    'stalled/sql-to-postgres',
    'verification',
  ])
  t.strictSame(unknown(there({ unattended: null, dead: null })), [
    'dead-letters/sql-to-postgres',
    'stalled/sql-to-postgres',
    'verification',
  ])
})

const gone: Finding = { condition: 'portal', side: 'portal', direction: null, problems: ['It is gone.'] }
const none: ReadonlySet<string> = new Set()
const nothing = { findings: [], doubtful: none, unknown: none }
const holding = (...findings: Finding[]) => ({ ...nothing, findings })

/** Steps through seconds; `holds` says for each whether the condition does. */
function run(book: AlertBook, seconds: number, holds: (second: number) => boolean | null, from = 0) {
  const said: string[] = []
  for (let second = from; second < from + seconds; second++) {
    const is = holds(second)
    const judgement = is === null ? { ...nothing, unknown: new Set(['portal']) } : is ? holding(gone) : nothing
    for (const { state } of book.step(judgement, second * 1000)) said.push(`${second} ${state}`)
  }
  return said
}

t.test('a condition is told once, and its end', async (t) => {
  const book = new AlertBook()
  t.strictSame(
    run(book, 1_000, (second) => second >= 100 && second < 400),
    ['130 problem', '430 recovered'],
  )
  const [event] = new AlertBook({ ...ALERT_RULES, timing: () => ({ holdMs: 0, quietMs: 0 }) }).step(holding(gone), 5)
  t.match(event, { state: 'problem', since: 5, until: null })
})

t.test('what is over before it is told is not told; short gaps do not end it', async (t) => {
  t.strictSame(
    run(new AlertBook(), 1_000, (second) => second % 60 < 29),
    [],
  )
  t.strictSame(
    run(new AlertBook(), 300, (second) => second % 10 < 5),
    ['30 problem'],
  )
})

t.test('who flaps is told less and less often, and anew after an hour of quiet', async (t) => {
  const book = new AlertBook()
  const said = run(book, 8 * 3600, (second) => second % 120 < 60)
  t.ok(said.length <= 6, said.join(', '))
  t.match(said.at(-1), /problem/)
  const end = run(book, 3 * 3600, () => false, 8 * 3600)
  t.strictSame(
    end.map((each) => each.replace(/\d+ /, '')),
    ['recovered'],
  )
  t.strictSame(
    run(book, 200, (second) => second < 12 * 3600 + 100, 12 * 3600),
    [`${12 * 3600 + 30} problem`, `${12 * 3600 + 130} recovered`],
  )
})

t.test('what cannot be known stands: neither told, nor taken back', async (t) => {
  const book = new AlertBook()
  t.strictSame(
    run(book, 1_000, (second) => (second < 100 ? true : second < 500 ? null : second < 600)),
    ['30 problem', '630 recovered'],
  )
  t.strictSame(
    run(new AlertBook(), 1_000, (second) => (second < 20 ? true : null)),
    [],
  )
})

t.test('what was told before a restart, or by another ingress, is not told anew; its end is', async (t) => {
  const before = new AlertBook()
  run(before, 100, () => true)
  const kept = JSON.parse(JSON.stringify(before.told())) as ReturnType<AlertBook['told']>
  const after = new AlertBook()
  after.take(kept)
  t.strictSame(
    run(after, 500, (second) => second < 300, 100),
    ['330 recovered'],
  )
  const other = new AlertBook()
  other.take(kept)
  const [event] = [...other.step(nothing, 200_000), ...other.step(nothing, 240_000)]
  t.match(event, { state: 'recovered', since: 0, until: 200_000, finding: gone })
})

t.test('what is not well is not over, and what a cause has held up gets its time', async (t) => {
  const doubtful = (own: Partial<DirectionFacts>) => [...judgeAlerts(there(own)).doubtful]
  t.strictSame(doubtful({}), [])
  t.strictSame(doubtful({ waitingSeconds: 1 }), [])
  for (const own of [{ unsure: true }, { waitingSeconds: 10 }, { unattended: { messages: 1, seconds: 0 } }])
    t.strictSame(doubtful(own), ['stalled/sql-to-postgres'])

  const book = new AlertBook()
  const said: string[] = []
  const at = (second: number, facts: AlertFacts) => {
    for (const { state, finding } of book.step(judgeAlerts(facts), second * 1000))
      said.push(`${second} ${keyOf(finding)} ${state}`)
  }
  const stuck = { waitingSeconds: 300 }
  for (let second = 0; second < 100; second += 5)
    at(second, { ...there(stuck), databases: { clinic: null, portal: 'It is gone' } })
  for (let second = 100; second < 200; second += 5) at(second, there(stuck))
  for (let second = 200; second < 300; second += 5) at(second, there({ unattended: { messages: 9, seconds: 1 } }))
  for (let second = 300; second < 400; second += 5) at(second, well)
  t.strictSame(said, [
    '30 portal problem',
    '130 portal recovered',
    '155 stalled/sql-to-postgres problem',
    '330 stalled/sql-to-postgres recovered',
  ])
})

t.test(
  'dead letters of a cause that was told are not told again; of another one they are, not too often',
  async (t) => {
    const letters = (...aspects: string[]): Finding => ({
      condition: 'dead-letters',
      side: null,
      direction: 'sql-to-postgres',
      problems: [aspects.join(', ')],
      aspects,
    })
    const book = new AlertBook()
    const told: string[] = []
    const at = (second: number, ...aspects: string[]) => {
      const judged = aspects.length === 0 ? nothing : holding(letters(...aspects))
      for (const { state, finding } of book.step(judged, second * 1000))
        told.push(`${second} ${state} ${finding.problems}`)
    }
    for (let second = 0; second < 20; second += 5) at(second, 'a')
    at(30, 'a', 'b')
    at(300, 'b', 'a')
    at(620, 'b')
    at(700, 'a', 'b')
    at(2_000, 'a')
    at(2_005)
    at(2_010, 'a')
    at(2_020, 'a')
    t.strictSame(told, ['10 problem a', '620 problem b', '2005 recovered b', '2020 problem a'])
  },
)

t.test('a message says what, since when, and what to do', async (t) => {
  const sender = { version: '1.0.0', host: 'clinic-host', spoken: (text: string) => text.replace('npm run', 'docker') }
  const [finding] = judgeAlerts(there({ unattended: { messages: 12, seconds: 60 } })).findings
  if (finding === undefined) return t.fail('a finding')
  const since = Date.parse('2026-11-23T14:03:05Z')
  const valid = validatorFor<Message>(AlertMessage)
  const problem = alertMessage({ state: 'problem', finding, since, until: null }, sender, 'alert_1', since + 9_000)
  t.ok(valid.Check(problem))
  t.match(problem, {
    id: 'alert_1',
    state: 'problem',
    condition: 'stalled',
    direction: 'sql-to-postgres',
    side: null,
    since: '2026-11-23T14:03:05.000Z',
    until: null,
    at: '2026-11-23T14:03:14.000Z',
  })
  t.equal(
    problem.text,
    'clinic-sync on clinic-host: PROBLEM: changes do not move from the clinic to the portal, since 2026-11-23 14:03 UTC. ' +
      'Nobody takes the events sql-to-postgres, 12 are waiting: start that service, or see its log.',
  )
  const over = alertMessage(
    { state: 'recovered', finding, since, until: since + 725_000 },
    sender,
    'alert_2',
    since + 756_000,
  )
  t.ok(valid.Check(over))
  t.equal(over.lastedSeconds, 725)
  t.match(over.text, /RECOVERED: changes move from the clinic to the portal again. It had lasted 12 min, since/)
  t.ok(valid.Check(testMessage(sender, 'alert_3', since)))
  const odd = alertMessage(
    { state: 'problem', finding: { ...finding, problems: ['<!channel> & co'] }, since, until: null },
    sender,
    'alert_4',
    since,
  )
  t.match(odd.text, '&lt;!channel&gt; &amp; co')
})
