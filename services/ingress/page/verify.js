import { post, reasonOf } from './api.js'
import { byId, fill, onPress, say, table } from './dom.js'
import { counted, number, since } from './time.js'
import { partNode } from './overview.js'
import { differing, verified } from './words.js'

/** @import { Reachable, SyncStatus, Verification, VerificationPart } from './types.d.ts' */

const BEGUN = 'Both databases are being compared, row by row. Nothing is changed, and work can go on meanwhile.'

/** When the one began whose result is waited for. @type {string | null} */
let begun = null

export function startVerify() {
  onPress(byId('verify', HTMLButtonElement), async () => {
    const result = byId('verify-result')
    try {
      const { startedAt } = await post('/verifications')
      begun = startedAt
      say(result, BEGUN)
    } catch (error) {
      say(result, reasonOf(error), 'bad')
    }
  })
}

/** @param {SyncStatus} status */
export function showVerification({ verification }) {
  const progress = byId('verify-progress', HTMLProgressElement)
  if (!verification.reachable) {
    progress.hidden = true
    if (begun !== null) say(byId('verify-result'), `What came of it cannot be told: ${verification.reason}`, 'bad')
    begun = null
    return fill(byId('verified'), `It cannot be asked now: ${verification.reason}`)
  }
  const { last, running: now } = verification
  progress.hidden = now === null
  if (now !== null) {
    const all = now.of === null ? null : Math.max(now.of, now.rows)
    if (all === null || all === 0) progress.removeAttribute('value')
    else {
      progress.max = all
      progress.value = now.rows
    }
    const of = all === null ? counted(now.rows, 'row') : `${number(now.rows)} of ${counted(all, 'row')}`
    fill(byId('verified'), `Comparing: ${of}, for `, since(now.startedAt), '.')
  } else fill(byId('verified'), ...verified(verification).map(partNode), last === null ? null : advice(last))
  tellResult(verification)
  const heads = ['Table', '#rows in the clinic', '#in the portal', '#differ', '#of these stuck', '#on their way']
  const rows = (last?.tables ?? []).map((each) => [
    each.table,
    ...[each.clinicRows, each.portalRows, each.differences, each.stuck, each.inFlight].map(number),
  ])
  fill(byId('verified-tables'), rows.length > 0 && table('What was compared', heads, rows))
}

/** @param {Reachable<VerificationPart>} verification */
function tellResult({ last, running }) {
  const result = byId('verify-result')
  if (running !== null) {
    // Somebody else's is waited for as well.
    begun = running.startedAt
    if (result.textContent !== BEGUN) say(result, BEGUN)
  } else if (begun !== null) {
    if (last !== null && last.finishedAt >= begun)
      say(result, `Compared: ${differing(last)}.`, last.differences === 0 ? 'good' : 'bad')
    else
      say(
        result,
        'It has ended before all was compared: a database did not answer, or the ingress’s log says why.',
        'bad',
      )
    begun = null
  }
}

/** @param {Verification} last */
const advice = ({ differences }) =>
  differences === 0
    ? ''
    : ` Which rows and columns: npm run sync -- verify. With --repair, the side that owns each column sends ${differences === 1 ? 'it' : 'them'} anew.`
