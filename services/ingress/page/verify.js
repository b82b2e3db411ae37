import { post, reasonOf } from './api.js'
import { byId, fill, onPress, say, table } from './dom.js'
import { counted, number, since } from './time.js'
import { partNode } from './overview.js'
import { differing, verified } from './words.js'

/** @import { SyncStatus, Verification } from './types.d.ts' */

/** @type {boolean} whether one runs, by what was told last */
let running = false

export function startVerify() {
  onPress(byId('verify', HTMLButtonElement), async () => {
    const result = byId('verify-result')
    try {
      await post('/verifications')
      say(result, 'Both databases are being compared, row by row. Nothing is changed, and work can go on meanwhile.')
    } catch (error) {
      say(result, reasonOf(error), 'bad')
    }
  })
}

/** @param {SyncStatus} status */
export function showVerification({ verification }) {
  const progress = byId('verify-progress', HTMLProgressElement)
  byId('verify').hidden = verification === undefined
  if (verification === undefined) return fill(byId('verified'), 'This ingress cannot compare both sides.')
  if (!verification.reachable) {
    progress.hidden = true
    return fill(byId('verified'), `It cannot be asked now: ${verification.reason}`)
  }
  const { last, running: now } = verification
  progress.hidden = now === null
  if (now !== null) {
    const of = Math.max(now.of, now.rows)
    if (of > 0) {
      progress.max = of
      progress.value = now.rows
    } else progress.removeAttribute('value')
    fill(byId('verified'), `Comparing: ${number(now.rows)} of ${counted(of, 'row')}, for `, since(now.startedAt), '.')
  } else fill(byId('verified'), ...verified(verification).map(partNode), last === null ? null : advice(last))
  if (running && now === null && last !== null)
    say(byId('verify-result'), `Compared: ${differing(last)}.`, last.differences === 0 ? 'good' : 'bad')
  running = now !== null
  const heads = ['Table', '#rows in the clinic', '#in the portal', '#differ', '#of these stuck', '#on their way']
  const rows = (last?.tables ?? []).map((each) => [
    each.table,
    ...[each.clinicRows, each.portalRows, each.differences, each.stuck, each.inFlight].map(number),
  ])
  fill(byId('verified-tables'), rows.length > 0 && table('What was compared', heads, rows))
}

/** @param {Verification} last */
const advice = ({ differences }) =>
  differences === 0
    ? ''
    : ` Which rows and columns: npm run sync -- verify. With --repair, the side that owns each column sends ${differences === 1 ? 'it' : 'them'} anew.`
