import type { AlertSender } from '@clinic-sync/operations'
import { spoken, versionOfThis } from '@clinic-sync/runtime'
import { hostname } from 'node:os'

/** Who alerts are from. @param ingressUrl INGRESS_URL: its host, unless that is this one from its own view only */
export function alertSender(ingressUrl: string): AlertSender {
  const host = new URL(ingressUrl).hostname
  const isOwn = host === 'localhost' || host === '[::1]' || host.startsWith('127.')
  return {
    version: versionOfThis(),
    host: isOwn ? hostname() : host,
    // Our image sets it.
    spoken: (text) => spoken(text, process.env['SYNC_COMMAND']),
  }
}
