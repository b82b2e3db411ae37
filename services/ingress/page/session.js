import { ask, post, reasonOf, Refused } from './api.js'
import { byId, say } from './dom.js'

/** @import { Session } from './types.d.ts' */

/** That somebody has signed in here: without it nobody has to be asked for a session. It is no secret, and opens nothing. */
const HINT = 'clinic-sync signed in'

/** The latest time that browsers count up to, 24.8 days, is beyond any session. */
/** @type {ReturnType<typeof setTimeout> | undefined} */
let ending

/**
 * Whether somebody is signed in.
 *
 * @param {() => void} onOver told when the session's time is up
 * @returns {Promise<'in' | 'out' | { reason: string }>} the reason why it is not known
 */
export async function signedIn(onOver) {
  if (localStorage.getItem(HINT) === null) return 'out'
  try {
    /** @type {Session} */
    const { expiresAt } = await ask('/session')
    clearTimeout(ending)
    ending = setTimeout(onOver, Math.max(0, Date.parse(expiresAt) - Date.now()))
    return 'in'
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 401) return { reason: reasonOf(error) }
    localStorage.removeItem(HINT)
    return 'out'
  }
}

/** @param {() => void} onIn */
export function startLogin(onIn) {
  const form = byId('login-form', HTMLFormElement)
  const token = byId('token', HTMLInputElement)
  const result = byId('login-result')
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    say(result, 'Signing in …')
    try {
      await post('/session', { token: token.value.trim() })
      localStorage.setItem(HINT, 'yes')
      token.value = ''
      say(result, '')
      onIn()
    } catch (error) {
      const wrong = error instanceof Refused && error.status === 401
      say(result, wrong ? 'This is not the token. Is it complete, and of this installation?' : reasonOf(error), 'bad')
      token.select()
    }
  })
}

export async function signOut() {
  clearTimeout(ending)
  localStorage.removeItem(HINT)
  await ask('/session', { method: 'DELETE' })
}
