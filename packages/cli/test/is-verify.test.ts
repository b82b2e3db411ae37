import t from 'tap'
import { wrapped } from '../src/status/table.ts'
import { isVerify } from '../src/verify/is-verify.ts'

t.test('what is asked for is the first word that is no option', async (t) => {
  for (const args of [
    ['verify'],
    ['verify', '--repair'],
    ['--env-file', 'x.env', 'verify'],
    ['--env-file=x', 'verify'],
  ])
    t.equal(isVerify(args), true, args.join(' '))
  for (const args of [
    ['dead-letters', 'discard', 'x', '--why', 'verify'],
    ['status', '--env-file', 'verify'],
    ['--help'],
    [],
  ])
    t.equal(isVerify(args), false, args.join(' '))
})

t.test('a wrapped text keeps the blanks before it', async (t) => {
  t.strictSame(wrapped('  1. one two three', 10, '     '), ['  1. one', '     two', '     three'])
  t.strictSame(wrapped('one two', 80, ''), ['one two'])
})
