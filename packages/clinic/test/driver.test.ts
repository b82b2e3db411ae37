// The driver without what it never uses.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'

const SCRIPT = `
  import { createRequire } from 'node:module'
  await import(process.argv[1])
  const require = createRequire(process.argv[1])
  const loaded = Object.keys(require.cache)
  const identity = loaded.filter((path) => path.includes('@azure/identity') || path.includes('@azure/msal'))
  const { ClientSecretCredential } = createRequire(require.resolve('tedious'))('@azure/identity')
  console.log(JSON.stringify({ driver: loaded.some((path) => path.includes('tedious')), identity, real: typeof ClientSecretCredential }))
`

t.test('nothing of Azure is loaded with it, and whoever wants that gets the real one', async (t) => {
  const own = new URL('../src/driver.ts', import.meta.url).href
  const args = [...process.execArgv, '--input-type=module', '--eval', SCRIPT, own]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  t.strictSame(JSON.parse(stdout), { driver: true, identity: [], real: 'function' })
})
