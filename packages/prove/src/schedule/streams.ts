import { createHash } from 'node:crypto'
import { type Random, seeded } from '@clinic-sync/demo'

/**
 * A source of chance of its own for everything that has a name: what one worker or fault draws never shifts what
 * another one gets, whatever the timing.
 */
export const stream = (seed: number, ...name: readonly (string | number)[]): Random =>
  seeded(
    createHash('sha256')
      .update([seed, ...name].join('/'))
      .digest()
      .readUInt32LE(0),
  )

/** Picks by weight: `[[3, a], [1, b]]` gives `a` three times out of four. */
export function weighted<T>(random: Random, choices: readonly (readonly [number, T])[]): T {
  const total = choices.reduce((sum, [weight]) => sum + weight, 0)
  let at = random.int(1, total)
  for (const [weight, choice] of choices) {
    at -= weight
    if (at <= 0) return choice
  }
  throw new RangeError('Nothing to pick from.')
}
