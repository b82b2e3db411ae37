/** A service of ours as in production, under the hooks of `hooks.ts`: CHAOS_SERVICE says which. */
import './hooks.ts'

const service = process.env['CHAOS_SERVICE'] ?? ''
if (!/^[a-z-]+$/.test(service)) throw new RangeError('CHAOS_SERVICE names no service')
await import(new URL(`../../../../services/${service}/src/main.ts`, import.meta.url).href)
