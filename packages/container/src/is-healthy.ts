import { get } from 'node:http'

export interface Health {
  readonly healthy: boolean
  /** What `docker inspect` shows. */
  readonly says: string
}

/** Docker gives a check 5 s, and then says no more than that. */
const PATIENCE = 4_000

/** Asks a service of this container whether it can do its work: `/readyz`, behind which there is no query. */
export function isHealthy(port: number): Promise<Health> {
  return new Promise((resolve) => {
    const unhealthy = (says: string) => resolve({ healthy: false, says })
    const request = get({ host: '127.0.0.1', port, path: '/readyz', timeout: PATIENCE, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text = (text + chunk).slice(0, 4_000)))
      response.on('end', () => resolve({ healthy: response.statusCode === 200, says: text }))
      response.on('error', () => unhealthy('the answer broke off'))
    })
    request.on('timeout', () => {
      unhealthy(`no answer within ${PATIENCE / 1000} s`)
      request.destroy()
    })
    request.on('error', () => unhealthy(`nothing answers on port ${port}`))
  })
}
