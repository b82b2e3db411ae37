import { post, reasonOf } from './api.js'
import { byId, onPress, say } from './dom.js'
import { counted } from './time.js'
import { DIRECTIONS, SIDES, sourceOf, targetOf } from './words.js'

/** @import { Direction, DoorbellTestResponse } from './types.d.ts' */

export function startBells() {
  onPress(byId('test-bells', HTMLButtonElement), test)
  for (const direction of DIRECTIONS) onPress(byId(`ring-${direction}`, HTMLButtonElement), () => ring(direction))
}

async function test() {
  const result = byId('bells-result')
  say(result, 'Each database is asked to ring …')
  try {
    /** @type {DoorbellTestResponse} */
    const answer = await post('/doorbells/test')
    const words = SIDES.flatMap((side) => {
      const heard = answer[side]
      if (heard === undefined) return []
      return heard.heard
        ? [`The ${side}’s doorbell (${heard.doorbell}) was heard after ${heard.ms} ms.`]
        : [`The ${side}’s doorbell (${heard.doorbell}) was not heard. ${heard.message ?? ''}`]
    })
    say(result, words.join('\n'), SIDES.every((side) => answer[side]?.heard !== false) ? 'good' : 'bad')
  } catch (error) {
    say(result, reasonOf(error), 'bad')
  }
}

/** @param {Direction} direction */
async function ring(direction) {
  const result = byId('bells-result')
  say(result, `The ${sourceOf(direction)}’s outbox is looked at …`)
  try {
    const answer = await post('/trigger', { direction })
    const sent = answer[direction].published
    const what =
      sent === 0 ? 'nothing waited to be sent' : `${counted(sent, 'change')} sent to the ${targetOf(direction)}`
    say(result, `The ${sourceOf(direction)}’s outbox was looked at: ${what}.`, 'good')
  } catch (error) {
    say(result, reasonOf(error), 'bad')
  }
}
