import type { Figure, Measure, Scale } from './measure.ts'
import type { Problem, Reported } from './results.ts'
import { spread } from './statistics.ts'
import type { Stage } from './stage/stage.ts'
import { targetFor } from './report/targets.ts'

export interface RoundsOptions {
  readonly stage: Stage
  readonly measures: readonly Measure[]
  readonly scale: Scale
  readonly say: (line: string) => void
}

/** A figure, of which measure, and of which round. */
export interface Measured extends Figure {
  readonly measure: string
  readonly round: number
}

export interface Rounds {
  readonly measured: readonly Measured[]
  readonly problems: readonly Problem[]
}

/**
 * Prepares every measure, then runs rounds: in each, every measure of each round, one after the other, so that what else the
 * machine does meets all alike. What is measured once comes last. A measure that fails is said so and left out from then on; the
 * others go on.
 */
export async function runRounds({ stage, measures, scale, say }: RoundsOptions): Promise<Rounds> {
  const measured: Measured[] = []
  const problems: Problem[] = []
  const failed = new Set<string>()

  async function step(measure: Measure, round: number, what: string, run: () => Promise<readonly Figure[]>) {
    if (failed.has(measure.name)) return
    const since = performance.now()
    try {
      const figures = await run()
      for (const figure of figures) {
        if (!Number.isFinite(figure.value)) throw new Error(`${figure.name} is not a number.`)
        measured.push({ ...figure, measure: measure.name, round })
      }
      const seconds = ((performance.now() - since) / 1_000).toFixed(1)
      say(`${what} (${seconds} s)${figures.map((figure) => `\n    ${shown(figure)}`).join('')}`)
    } catch (error) {
      failed.add(measure.name)
      const message = error instanceof Error ? error.message : String(error)
      problems.push({ where: measure.name, round, what: message })
      say(`${what} failed: ${message}`)
    }
  }

  for (const measure of measures) {
    const prepare = measure.prepare?.bind(measure)
    if (prepare !== undefined)
      await step(measure, 0, `${measure.name}: prepared`, async () => {
        await prepare(stage, scale)
        return []
      })
  }
  const each = measures.filter(({ when }) => when === 'each')
  for (let round = 1; each.length > 0 && round <= scale.rounds; round++)
    for (const measure of each)
      await step(measure, round, `round ${round} of ${scale.rounds}: ${measure.name}`, () =>
        measure.run(stage, scale, round),
      )
  for (const measure of measures.filter(({ when }) => when === 'once'))
    await step(measure, 1, `once: ${measure.name}`, () => measure.run(stage, scale, 1))
  return { measured, problems }
}

const shown = ({ name, value, unit }: Figure) => `${name}: ${value.toPrecision(4)} ${unit}`

/** A series of each figure, in the order in which they first came. */
export function seriesOf(measured: readonly Measured[]): Reported[] {
  const names = [...new Set(measured.map(({ name }) => name))]
  return names.flatMap((name) => {
    const rounds = measured.filter((figure) => figure.name === name)
    const [first] = rounds
    return first === undefined
      ? []
      : [
          reported(
            first,
            rounds.map(({ value }) => value),
          ),
        ]
  })
}

/** Of one figure to another. */
export interface Ratio {
  readonly name: string
  readonly of: string
  readonly to: string
}

/**
 * Each ratio in every round that has both figures, and of these the median: what slowed the machine in a round slowed both. Ratios
 * that have no such round are left out.
 */
export function ratiosOf(measured: readonly Measured[], ratios: readonly Ratio[]): Reported[] {
  const valueOf = (name: string, round: number) => {
    const values = measured.filter((figure) => figure.name === name && figure.round === round).map(({ value }) => value)
    return values.length === 0 ? undefined : spread(values).median
  }
  const rounds = [...new Set(measured.map(({ round }) => round))]
  return ratios.flatMap(({ name, of, to }) => {
    const values = rounds.flatMap((round) => {
      const [above, below] = [valueOf(of, round), valueOf(to, round)]
      return above === undefined || below === undefined || below === 0 ? [] : [above / below]
    })
    return values.length === 0 ? [] : [reported({ name, unit: '×', better: 'more', measure: 'ratios' }, values)]
  })
}

function reported(
  { name, unit, better, measure }: Pick<Measured, 'name' | 'unit' | 'better' | 'measure'>,
  values: readonly number[],
): Reported {
  const { median, min, max, n } = spread(values)
  return { name, unit, better, measure, values, median, min, max, n, target: targetFor(name, median) }
}
