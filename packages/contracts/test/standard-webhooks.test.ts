import { randomBytes } from 'node:crypto'
import t from 'tap'
import { parseWebhookKeys, signWebhook, verifyWebhook, type WebhookKey, webhookSignature } from '../src/index.ts'

const NOW = 1_614_265_330_000
const BODY = Buffer.from('{"test": 2432232314}')
const KEY: WebhookKey = randomBytes(32)
const OTHER: WebhookKey = randomBytes(32)
const whsec = (bytes: Uint8Array) => `whsec_${Buffer.from(bytes).toString('base64')}`

const stamp = (headers: ReturnType<typeof signWebhook>) => ({
  id: headers['webhook-id'],
  timestamp: headers['webhook-timestamp'],
  signature: headers['webhook-signature'],
})

t.test("the standard's own test vector", async (t) => {
  const [key] = parseWebhookKeys('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw') ?? []
  if (key === undefined) return t.fail('no key')
  const headers = signWebhook([key], BODY, { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', now: NOW })
  t.strictSame(headers, {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  })
  t.same(verifyWebhook([key], stamp(headers), BODY, NOW), { is: 'valid' })
})

t.test('either of two keys, on either side, while they are exchanged', async (t) => {
  const signed = (...keys: WebhookKey[]) => stamp(signWebhook(keys, BODY, { now: NOW }))
  for (const [sender, receiver] of [
    [[KEY], [KEY, OTHER]],
    [[OTHER], [KEY, OTHER]],
    [[KEY, OTHER], [OTHER]],
    [[OTHER, KEY], [OTHER]],
  ] as const) {
    t.same(verifyWebhook(receiver, signed(...sender), BODY, NOW), { is: 'valid' })
  }
  t.same(verifyWebhook([OTHER], signed(KEY), BODY, NOW), { is: 'unproven' })
  t.same(verifyWebhook([], signed(KEY), BODY, NOW), { is: 'unproven' }, 'no keys: nothing is proven')
})

t.test('five minutes either way, and not a second more', async (t) => {
  const at = (seconds: number) => stamp(signWebhook([KEY], BODY, { now: NOW + seconds * 1000 }))
  for (const off of [0, -300, 300]) t.same(verifyWebhook([KEY], at(off), BODY, NOW), { is: 'valid' }, String(off))
  for (const off of [-301, 301]) t.same(verifyWebhook([KEY], at(off), BODY, NOW), { is: 'stale', offBy: off })
  t.same(verifyWebhook([OTHER], at(-301), BODY, NOW), { is: 'unproven' }, 'the time is told to those with a key only')
})

t.test('what a forger may try', async (t) => {
  const good = stamp(signWebhook([KEY], BODY, { id: 'msg_1', now: NOW }))
  t.same(verifyWebhook([KEY], good, BODY, NOW), { is: 'valid' })
  const { id, timestamp, signature } = good
  const bare = signature.slice(3)
  const others: [string, Partial<typeof good>][] = [
    ['another id', { id: 'msg_2' }],
    ['no id', { id: '' }],
    ['an id with a dot', { id: `${id}.1`, signature: webhookSignature(KEY, `${id}.1`, timestamp, BODY) }],
    ['a long id', { id: 'x'.repeat(129), signature: webhookSignature(KEY, 'x'.repeat(129), timestamp, BODY) }],
    ['another time', { timestamp: String(Number(timestamp) + 1) }],
    ['no time', { timestamp: '' }],
    ['a time with a sign', { timestamp: `+${timestamp}` }],
    ['a time with a fraction', { timestamp: `${timestamp}.0` }],
    ['a time that is no number', { timestamp: 'NaN', signature: webhookSignature(KEY, id, 'NaN', BODY) }],
    ['no signature', { signature: '' }],
    ['no version', { signature: bare }],
    ['another version', { signature: `v1a,${bare}` }],
    ['a part of it', { signature: signature.slice(0, 12) }],
    ['nothing after the version', { signature: 'v1,' }],
    ['something after it', { signature: `${signature}=` }],
    ['hexadecimal', { signature: `v1,${Buffer.from(bare, 'base64').toString('hex')}` }],
    ['wrong ones only', { signature: Array.from({ length: 300 }, () => `v1,${'A'.repeat(43)}=`).join(' ') }],
  ]
  for (const [what, over] of others) {
    t.same(verifyWebhook([KEY], { ...good, ...over }, BODY, NOW), { is: 'unproven' }, what)
  }
  for (const body of [Buffer.from('{"test":2432232314}'), Buffer.concat([BODY, Buffer.from('\n')]), Buffer.alloc(0)]) {
    t.same(verifyWebhook([KEY], good, body, NOW), { is: 'unproven' }, 'another body')
  }
  const crowd = `v2,x v1,${'A'.repeat(43)}= ${signature}  v1a,whatever`
  t.same(verifyWebhook([KEY], { ...good, signature: crowd }, BODY, NOW), { is: 'valid' }, 'one right one is enough')
})

t.test('bytes are signed, whatever they mean', async (t) => {
  const bytes = Buffer.from([0xff, 0x00, 0xfe, 0x80])
  const signed = stamp(signWebhook([KEY], bytes, { now: NOW }))
  t.same(verifyWebhook([KEY], signed, bytes, NOW), { is: 'valid' })
  t.same(verifyWebhook([KEY], signed, Buffer.from(bytes.toString()), NOW), { is: 'unproven' })
})

t.test('keys as they are set', async (t) => {
  const [a, b, c] = [whsec(KEY), whsec(OTHER), whsec(randomBytes(24))]
  t.same(parseWebhookKeys(a), [KEY])
  for (const text of [`${a} ${b}`, `${a},${b}`, ` ${a} , ${b}\n`]) t.same(parseWebhookKeys(text), [KEY, OTHER])
  t.equal(parseWebhookKeys(whsec(randomBytes(64)))?.[0]?.length, 64)
  const wrong = [
    '',
    ' , ',
    'whsec_',
    a.slice(6),
    `WHSEC_${a.slice(6)}`,
    `${a} ${b} ${c}`,
    `${a} and`,
    whsec(randomBytes(23)),
    whsec(randomBytes(65)),
    `whsec_${'A'.repeat(43)}`,
    `${a}=`,
    `whsec_${'-'.repeat(44)}`,
    `whsec_${'_w'.repeat(22)}`,
    `whsec_${'A'.repeat(42)}B=`,
    `whsec_${'A'.repeat(20)}!${'A'.repeat(23)}`,
  ]
  for (const text of wrong) t.equal(parseWebhookKeys(text), null, text)
})
