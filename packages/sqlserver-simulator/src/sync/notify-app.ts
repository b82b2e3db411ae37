import { msOfUtc } from '../engine/clock.ts'
import type { Procedure } from '../engine/database.ts'
import { NO_RESULT, type Work } from '../engine/work.ts'
import { unsupported } from '../values/errors.ts'
import { BIT, datetime2, nvarchar } from '../values/types.ts'
import { post } from './post.ts'
import { peekSetting } from './settings.ts'

export interface AppAddress {
  readonly url: string
  readonly secret: string
}

export const appAddress = (work: Work): AppAddress => ({
  url: peekSetting(work, 'DoorbellURL') ?? '',
  secret: peekSetting(work, 'DoorbellSecret') ?? '',
})

/** What `dbo.sp_NotifyAppOfSync` answers after a call. Never rejects. */
export const notifyApp = async ({ url, secret }: AppAddress): Promise<string> =>
  url === '' ? 'no address is set' : post(url, secret)

/** Where nobody answered, the trigger does not call for a while, milliseconds, from the same session. */
const QUIET = 5000

/** What `dbo.trg_SyncQueue_NotifyApp` does at the end of the statement, before the commit. Never rejects. */
export async function notifyFromTrigger({ session }: Work, address: AppAddress): Promise<void> {
  if (session.quietUntil > Date.now()) return
  const answer = await notifyApp(address)
  if (!answer.startsWith('HTTP ')) session.quietUntil = Date.now() + QUIET
}

/** `sys.sp_set_session_context`, for the one key that the doorbells look at. Everybody may. */
export const setSessionContext: Procedure = {
  name: 'sp_set_session_context',
  parameters: [
    { name: 'key', type: nvarchar(128) },
    { name: 'value', type: datetime2(3) },
  ],
  run({ session }, [key, value]) {
    if (key !== 'clinic-sync quiet until') throw unsupported('this key of the session context')
    session.quietUntil = typeof value === 'bigint' ? msOfUtc(value) : 0
    return []
  },
}

export const NO_ENDPOINT = "Could not find stored procedure 'sp_invoke_external_rest_endpoint'."

/** `dbo.sp_NotifyAppOfSync`, and its like for engines that have another way: run by hand it prints what came of it. */
export function notifier(name: string, call: (address: AppAddress) => Promise<string>): Procedure {
  return {
    name,
    parameters: [
      { name: 'Quiet', type: BIT, default: false },
      { name: 'Answer', type: nvarchar(400), default: null },
    ],
    async run(work, [quiet]) {
      const address = appAddress(work)
      const began = Date.now()
      const answer = await call(address)
      if (quiet === true) return []
      const ms = Date.now() - began
      return [
        { ...NO_RESULT, message: `${answer} after ${ms} ms, POST ${address.url || '(nowhere)'}. ${advice(answer)}` },
      ]
    },
  }
}

function advice(answer: string): string {
  if (answer.startsWith('HTTP 2')) return 'The application was told.'
  if (answer === 'HTTP 401')
    return "The secret is not the application's SYNC_WEBHOOK_SECRET: run npm run sync -- doorbell."
  if (answer.startsWith('HTTP '))
    return 'Something else answers at this address, or the application refuses: see its log.'
  if (answer.startsWith('no address')) return 'Run npm run sync -- doorbell.'
  return 'Is the ingress running there? If so, correct INGRESS_URL and run npm run sync -- doorbell.'
}
