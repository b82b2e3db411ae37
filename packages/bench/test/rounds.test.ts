import t from 'tap'
import { runRounds } from '../src/bench.ts'
import { benchProgram, commandFor, type BenchOptions } from '../src/command.ts'
import { type Measure, QUICK } from '../src/measure.ts'
import type { Stage } from '../src/stage/stage.ts'

const NONE = {} as Stage
const scale = { ...QUICK, rounds: 2 }
const say = () => undefined

/** Writes down when it is called. */
function noted(
  calls: string[],
  name: string,
  when: Measure['when'],
  fail: (round: number) => void = () => undefined,
): Measure {
  return {
    name,
    when,
    prepare: async () => void calls.push(`${name} prepared`),
    run: async (_stage, _scale, round) => {
      calls.push(`${name} ${round}`)
      fail(round)
      return [{ name, unit: 'x', better: 'more', value: round }]
    },
  }
}

t.test('rounds are interleaved; what is measured once comes last', async (t) => {
  const calls: string[] = []
  const measures = [noted(calls, 'a', 'each'), noted(calls, 'once', 'once'), noted(calls, 'b', 'each')]
  const { measured, problems } = await runRounds({ stage: NONE, measures, scale, say })
  t.strictSame(calls, ['a prepared', 'once prepared', 'b prepared', 'a 1', 'b 1', 'a 2', 'b 2', 'once 1'])
  t.equal(measured.length, 5)
  t.strictSame(problems, [])
})

t.test('what throws is a problem, is left out from then on, and holds nothing else up', async (t) => {
  const calls: string[] = []
  const boom = (round: number) => {
    if (round === 1) throw new Error('boom')
  }
  const measures = [noted(calls, 'bad', 'each', boom), noted(calls, 'good', 'each')]
  const { measured, problems } = await runRounds({ stage: NONE, measures, scale, say })
  t.strictSame(calls.slice(2), ['bad 1', 'good 1', 'good 2'])
  t.strictSame(problems, [{ where: 'bad', round: 1, what: 'boom' }])
  t.strictSame(
    measured.map(({ name }) => name),
    ['good', 'good'],
  )
})

t.test('a measure that cannot be prepared is not run, and a figure that is no number is a problem', async (t) => {
  const calls: string[] = []
  const unprepared = { ...noted(calls, 'a', 'each'), prepare: () => Promise.reject(new Error('no')) }
  const nothing: Measure = {
    name: 'b',
    when: 'once',
    run: async () => [{ name: 'b', unit: 'x', better: 'more', value: Number.NaN }],
  }
  const { measured, problems } = await runRounds({ stage: NONE, measures: [unprepared, nothing], scale, say })
  t.strictSame(calls, [])
  t.strictSame(measured, [])
  t.strictSame(
    problems.map(({ where, round }) => `${where} ${round}`),
    ['a 0', 'b 1'],
  )
})

async function parsed(...args: string[]): Promise<BenchOptions | string> {
  let said = ''
  let chosen: BenchOptions | undefined
  const program = benchProgram(async (options) => {
    chosen = options
  })
  program
    .exitOverride()
    .configureOutput({ writeErr: (text) => void (said += text), writeOut: (text) => void (said += text) })
  await program.parseAsync(args, { from: 'user' }).catch(() => undefined)
  return chosen ?? said
}

t.test('options', async (t) => {
  t.match(await parsed(), { quick: false, write: false, yes: false, rounds: undefined, only: undefined })
  t.match(await parsed('--only', 'sustained, raw-relay', '--rounds', '3'), {
    only: ['sustained', 'raw-relay'],
    rounds: 3,
  })
  t.match(await parsed('--only', 'sustained,sustainable'), /There is no sustainable: .*sustained.*raw-relay/)
  t.match(await parsed('--only', ''), /There is no/)
  for (const rounds of ['0', '1.5', '-1', 'x', '101']) t.match(await parsed('--rounds', rounds), /whole number/)
  t.match(await parsed('--write', '--quick'), /cannot be used with/)
  t.match(await parsed('--write', '--only', 'sustained'), /cannot be used with/)
})

t.test('the command is told as it was given', async (t) => {
  t.equal(commandFor({ quick: false, write: true, yes: true, json: '-' }), 'npm run bench -- --write')
  t.equal(commandFor({ quick: false, write: false, yes: false }), 'npm run bench')
  const some = { quick: true, write: false, yes: false, only: ['sustained'], rounds: 2 }
  t.equal(commandFor(some), 'npm run bench -- --quick --only sustained --rounds 2')
})
