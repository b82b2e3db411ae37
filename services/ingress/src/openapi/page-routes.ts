import {
  ACTS,
  AWAY,
  BROKEN,
  failure,
  HANGS_UP,
  LOOKS,
  PAGE,
  SESSION,
  text,
  TOO_MANY,
  YARD,
  type Described,
} from './answers.ts'

/** What the status page asks for, as far as it is not the operator's anyway. */
export const PAGE_ROUTES: Readonly<Record<string, Described>> = {
  'GET /': {
    operationId: 'page',
    tags: ['page'],
    summary: 'The status page',
    description: 'Without data: what it shows it asks for, once somebody has signed in. Its files are below /page/.',
    answers: { 200: text('The page.', 'text/html'), 429: TOO_MANY, 500: BROKEN },
  },
  'POST /api/sync/session': {
    operationId: 'signIn',
    tags: ['page'],
    summary: 'Sign in to the status page',
    description:
      "With SYNC_OPERATOR_TOKEN, by the page itself: see the cookie's description. The cookie holds for 12 hours; another token ends it.",
    answers: {
      204: { description: 'Signed in; header set-cookie.' },
      400: failure('No token in it.'),
      413: failure('The body is larger than 4 kB.'),
      ...ACTS,
      401: failure('That is not the token.'),
      403: failure('Not sent by the status page.'),
      415: failure('A body that does not say that it is JSON.'),
    },
  },
  'GET /api/sync/session': {
    operationId: 'session',
    tags: ['page'],
    summary: 'Is somebody signed in, and until when?',
    security: SESSION,
    answers: { 200: { description: 'Until then.' }, ...LOOKS, 401: failure('Nobody is, or not any more.') },
  },
  'DELETE /api/sync/session': {
    operationId: 'signOut',
    bodyless: true,
    tags: ['page'],
    summary: 'Sign out',
    description:
      'The browser forgets the cookie. A copy of it, elsewhere, holds until its end, or until the token is another.',
    security: SESSION,
    answers: { 204: { description: 'Signed out.' }, ...HANGS_UP, ...ACTS },
  },
  'GET /api/sync/history': {
    operationId: 'history',
    tags: ['page'],
    summary: 'What has arrived, by the minute',
    description:
      'Of the last 24 hours at most, in the memory of this ingress; only minutes with changes. No database is asked.',
    security: PAGE,
    answers: {
      200: { description: 'The oldest first; the last may be running.' },
      ...LOOKS,
      400: failure('hours is 1 to 24.'),
    },
  },
  'GET /api/sync/dead-letters': {
    operationId: 'deadLetters',
    tags: ['page'],
    summary: 'What could not be applied',
    description: 'As `dead-letters list --json` prints it. Takes all letters in hand for a moment.',
    security: PAGE,
    answers: { 200: { description: 'A thousand at most.' }, ...LOOKS, ...YARD },
  },
  'POST /api/sync/dead-letters/explain': {
    operationId: 'explainDeadLetters',
    tags: ['page'],
    summary: 'What happened to these, and what to do',
    security: PAGE,
    answers: { 200: { description: 'In words; no value.' }, ...HANGS_UP, ...ACTS, ...YARD },
  },
  'POST /api/sync/dead-letters/rehearse': {
    operationId: 'rehearseDeadLetters',
    tags: ['page'],
    summary: 'Would these go through now?',
    description: 'Each is applied to its target in a transaction that is rolled back.',
    security: PAGE,
    answers: { 200: { description: 'Columns by name; no value.' }, ...HANGS_UP, ...ACTS, ...YARD },
  },
  'POST /api/sync/dead-letters/replay': {
    operationId: 'replayDeadLetters',
    tags: ['page'],
    summary: 'Send these again',
    description:
      '1, 2, 5, 10 … at a time, parents first, until one fails again. A caller that hangs up ends it between two steps: what was not sent lies where before.',
    security: PAGE,
    answers: { 200: { description: 'How far it came.' }, ...HANGS_UP, ...ACTS, ...YARD },
  },
  'POST /api/sync/dead-letters/discard': {
    operationId: 'discardDeadLetters',
    tags: ['page'],
    summary: 'Give these up',
    description: 'They are kept in sync.discarded for 49 days; the outbox says who and why.',
    security: PAGE,
    answers: { 200: { description: 'How many, and which are gone already.' }, ...HANGS_UP, ...ACTS, ...YARD },
  },
  'GET /api/sync/conflicts': {
    operationId: 'conflicts',
    tags: ['page'],
    summary: 'Where the two sides did not agree',
    description:
      'Rulings of the clinic and lost edits of the portal, the newest first, without values. `next` is the `before` of the older ones.',
    security: PAGE,
    answers: {
      200: { description: 'Of the sides that could be asked; `unasked` names the other.' },
      ...LOOKS,
      400: failure('max is 1 to 200; before is `next` of another answer.'),
    },
  },
  'GET /api/sync/conflicts/:side/:id/values': {
    operationId: 'conflictValues',
    tags: ['page'],
    summary: 'Both values of one ruling',
    description: "Patients' data, for who asks for it; the log says that somebody did.",
    security: PAGE,
    answers: {
      200: { description: 'Column by column.' },
      ...LOOKS,
      400: failure('No id of a ruling.'),
      404: failure('It is not on record any more.'),
      503: AWAY,
    },
  },
  'GET /api/sync/records/:table/:key': {
    operationId: 'record',
    tags: ['page'],
    summary: "One record's story",
    description:
      "As `explain` tells it: equal or not, what is on its way, what failed, what happens next, what to do. Whoever cannot be asked is in `unasked`. Patients' data only with values=true; then the log says that somebody has looked.",
    security: PAGE,
    answers: {
      200: { description: 'Also where there is no such record: its verdict says so.' },
      ...LOOKS,
      400: failure('No such table, or no such key.'),
    },
  },
  'GET /api/sync/versions': {
    operationId: 'versions',
    tags: ['page'],
    summary: 'What runs here, and beside it',
    description: 'The databases are asked at most once in ten minutes. Null: not known now.',
    security: PAGE,
    answers: { 200: { description: 'Versions, and the last migration of each side.' }, ...LOOKS },
  },
}
