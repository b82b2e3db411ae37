import { ask, onSignedOut, reasonOf, Refused } from './api.js'
import { startBells } from './bells.js'
import { addMinute, draw, hoursShown, showHistory, startChart } from './chart.js'
import { forgetConflicts, startConflicts } from './conflicts.js'
import { forgetDeadLetters, showDeadLetters } from './dead-letters.js'
import { dismiss } from './dialog.js'
import { byId, fill, onPress } from './dom.js'
import { showOverview } from './overview.js'
import { forgetRecord, offerTables, startRecord } from './record.js'
import { signedIn, signOut, startLogin } from './session.js'
import { follow } from './stream.js'
import { clock, now, tellTime, tick } from './time.js'
import { showVerification, startVerify } from './verify.js'
import { startVersions } from './versions.js'

/** @import { History, SyncStatus } from './types.d.ts' */

/** How to leave the stream; null: it is not followed. @type {(() => void) | null} */
let leave = null
/** Since when the line is lost; null: it is not. @type {number | null} */
let lostSince = null
/** Where the page was when the session ended. */
let place = 0
/** The last time that the chart was drawn, by the minute. */
let drawn = 0

/** @param {string} event @param {unknown} data */
function hear(event, data) {
  found()
  if (event === 'minute') return addMinute(/** @type {History['minutes'][number]} */ (data))
  if (event !== 'status') return
  const status = /** @type {SyncStatus} */ (data)
  tellTime(status.at)
  showOverview(status)
  showVerification(status)
  showDeadLetters(status)
  offerTables(status)
  fill(byId('told'), `Told by the ingress at ${clock(status.at)}. Times are this device’s.`)
}

function lost() {
  lostSince ??= Date.now()
  const line = byId('lost')
  const text = `The page has lost its connection to the ingress since ${clock(lostSince)}: what you see is from then. It tries again by itself.`
  if (line.textContent !== text) line.textContent = text
  line.hidden = false
}

function found() {
  if (lostSince === null) return
  lostSince = null
  byId('lost').hidden = true
  byId('lost').textContent = ''
  // What ended meanwhile was told to nobody.
  void loadHistory()
}

async function loadHistory() {
  try {
    showHistory(await ask(`/history?hours=${hoursShown()}`))
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    fill(byId('chart-summary'), `What was cannot be told: ${reasonOf(error)}`)
  }
}

function enter() {
  byId('login').hidden = true
  byId('app').hidden = false
  byId('sign-out').hidden = false
  leave?.()
  leave = follow({ onEvent: hear, onLost: lost, onSignedOut: () => expire('Your session is over: sign in again.') })
  void loadHistory()
  // The session's end is known from here on.
  void signedIn(() => expire('Your session is over: sign in again.'))
  window.scrollTo(0, place)
  if (place === 0) byId('main').focus({ preventScroll: true })
}

/** Shows the login; the page stays as it is behind it. @param {string} why */
function expire(why) {
  if (!byId('app').hidden) place = window.scrollY
  leave?.()
  leave = null
  found()
  dismiss()
  byId('app').hidden = true
  byId('sign-out').hidden = true
  byId('login').hidden = false
  fill(byId('login-why'), why)
  byId('token').focus()
}

/** Somebody leaves: of what was looked at, nothing stays on the screen. */
async function out() {
  let why = 'You have signed out.'
  try {
    await signOut()
  } catch (error) {
    why = `You have signed out here only. ${reasonOf(error)}`
  }
  forgetRecord()
  forgetConflicts()
  forgetDeadLetters()
  expire(why)
  place = 0
}

async function begin() {
  onSignedOut(() => expire('Your session is over: sign in again.'))
  startLogin(enter)
  startChart(() => void loadHistory())
  startVerify()
  startConflicts()
  startRecord()
  startBells()
  startVersions()
  onPress(byId('sign-out', HTMLButtonElement), out)
  setInterval(() => {
    tick()
    const minute = Math.floor(now() / 60_000)
    if (leave !== null && minute !== drawn) {
      drawn = minute
      draw()
    }
  }, 1_000)
  const session = await signedIn(() => expire('Your session is over: sign in again.'))
  if (session === 'in') return enter()
  expire(session === 'out' ? '' : session.reason)
}

void begin()
