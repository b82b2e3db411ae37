import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { SECRETS } from './layout.ts'

/** A folder for the certificates (which are public) while connections are tried: nothing is in the project's folder by then. */
export interface Scratch {
  /** Writes a certificate; gives its absolute path. */
  certificate(name: string, pem: string): string
  /** An address of an earlier run, whose certificate counts from its folder of secrets, as it is used from here. */
  resolved(url: string): string
  close(): void
}

/** @param folder the project's. */
export function openScratch(folder: string): Scratch {
  let place: string | undefined
  return {
    certificate(name, pem) {
      place ??= mkdtempSync(join(tmpdir(), 'clinic-sync-init-'))
      const path = join(place, name)
      writeFileSync(path, pem)
      return path
    },
    resolved(url) {
      const copy = new URL(url)
      for (const name of ['ca', 'sslrootcert', 'sslcert', 'sslkey', 'cacertfile', 'certfile', 'keyfile']) {
        const path = copy.searchParams.get(name)
        if (path !== null && path !== '' && !isAbsolute(path))
          copy.searchParams.set(name, resolve(folder, SECRETS, path))
      }
      return copy.href
    },
    close() {
      if (place !== undefined) rmSync(place, { recursive: true, force: true })
    },
  }
}
