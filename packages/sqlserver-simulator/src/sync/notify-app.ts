import http from 'node:http'
import https from 'node:https'
import type { Procedure } from '../engine/database.ts'
import { NO_RESULT, type Work } from '../engine/work.ts'
import { BIT, nvarchar } from '../values/types.ts'
import { readSetting } from './settings.ts'

/** Milliseconds for a call in all: name, connection, request, answer. */
const PATIENCE = 900

export interface AppAddress {
  readonly url: string | null
  readonly secret: string
}

/** @throws Blocked while somebody is changing it */
export const appAddress = (work: Work): AppAddress => ({
  url: readSetting(work, 'DoorbellURL'),
  secret: readSetting(work, 'DoorbellSecret') ?? '',
})

/** What `dbo.sp_NotifyAppOfSync` does: POSTs to DoorbellURL. Never rejects; gives what came of it, in words. */
export async function notifyApp({ url, secret }: AppAddress): Promise<string> {
  if (url === null || url === '') return 'DoorbellURL is not set in sync.Settings'
  try {
    return `HTTP ${await post(new URL(url), secret)}`
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'not an address'
    return `could not connect (${code})`
  }
}

function post(url: URL, secret: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'x-sync-secret': secret }
    const send = url.protocol === 'https:' ? https.request : http.request
    // Not kept alive: SQL Server's object is destroyed after each call.
    const request = send(url, { method: 'POST', headers, agent: false }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0)).once('error', reject)
    })
    const timer = setTimeout(() => request.destroy(Object.assign(new Error(), { code: 'timeout' })), PATIENCE)
    request.once('error', reject)
    request.once('close', () => {
      clearTimeout(timer)
      reject(Object.assign(new Error(), { code: 'closed' }))
    })
    request.end('{}')
  })
}

export const NO_ENDPOINT = "Could not find stored procedure 'sp_invoke_external_rest_endpoint'."

/** `dbo.sp_NotifyAppOfSync`, or its like that cannot call: run by hand it prints what came of it. */
export function notifier(name: string, call: (work: Work) => Promise<string>): Procedure {
  return {
    name,
    parameters: [
      { name: 'Quiet', type: BIT, default: false },
      { name: 'Answer', type: nvarchar(400), default: null },
    ],
    async run(work, [quiet]) {
      const answer = await call(work)
      return quiet === true ? [] : [{ ...NO_RESULT, message: answer }]
    },
  }
}
