import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Writes settings as an `.env` file for `npm run sync -- --env-file`. Readable by its owner only: URLs hold passwords.
 *
 * @returns its path.
 */
export async function writeSettings(settings: Readonly<Record<string, string>>, folder: string): Promise<string> {
  const file = join(folder, 'settings.env')
  const lines = Object.entries(settings).map(([name, value]) => `${name}="${value}"\n`)
  await writeFile(file, lines.join(''), { mode: 0o600, flag: 'wx' })
  return file
}
