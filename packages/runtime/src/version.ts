import { readFileSync } from 'node:fs'

/** The version that is installed, which all packages share: from package.json, which is as far from src as it is from dist. */
export function versionOfThis(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return version
}
