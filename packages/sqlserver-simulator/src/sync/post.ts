import http from 'node:http'
import https from 'node:https'

/** Milliseconds for a call in all: name, connection, request, answer. */
const PATIENCE = 900

const WORDS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'could not find the host of the address',
  EAI_AGAIN: 'could not find the host of the address',
  TIMEOUT: 'no answer in time',
}

/** POSTs `{}` with the secret, as SQL Server's OLE Automation does. `HTTP 202`, or why there was no answer; never rejects. */
export async function post(url: string, secret: string): Promise<string> {
  if (!URL.canParse(url)) return 'could not call: this is no address'
  try {
    return `HTTP ${await send(new URL(url), secret)}`
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    return WORDS[code] ?? 'could not connect to the address'
  }
}

function send(url: URL, secret: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', ...(secret === '' ? {} : { 'x-sync-secret': secret }) }
    const begin = url.protocol === 'https:' ? https.request : http.request
    // No connection is kept: SQL Server's object is destroyed after each call.
    const request = begin(url, { method: 'POST', headers, agent: false }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0)).once('error', reject)
    })
    const failed = (code: string) => Object.assign(new Error('the call failed'), { code })
    const timer = setTimeout(() => request.destroy(failed('TIMEOUT')), PATIENCE)
    request.once('error', reject)
    request.once('close', () => {
      clearTimeout(timer)
      reject(failed('CLOSED'))
    })
    request.end('{}')
  })
}
