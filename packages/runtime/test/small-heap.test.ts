import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const SMALL_HEAP = fileURLToPath(new URL('../src/small-heap.ts', import.meta.url))

/** Reads, holds and drops pages as a drain does, beside what a service always has. @returns the most that the heap had, in bytes */
async function most(before: string): Promise<number> {
  const script = `
    import { getHeapStatistics } from 'node:v8'
    ${before}
    const text = (n, i) => JSON.stringify({ id: n * 1000 + i, note: 'as said on Thursday', more: 'x'.repeat(400) + i })
    const page = (n) => Array.from({ length: 1000 }, (_, i) => ({ row: JSON.parse(text(n, i)), content: text(n, i) }))
    const always = Array.from({ length: 40 }, (_, n) => page(n))
    const pages = []
    let most = 0
    for (let n = 0; n < 400; n++) {
      pages.push(page(n))
      if (pages.length > 20) pages.shift()
      most = Math.max(most, getHeapStatistics().total_physical_size)
    }
    console.log(most, always.length)`
  const args = ['--import=tsx', '--input-type=module', '--eval', script]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, NODE_OPTIONS: '' } })
  return Number(stdout.split(' ')[0])
}

t.test('what is alive is not outgrown by what is not', async (t) => {
  const usual = await most('')
  const small = await most(`import { keepHeapSmall } from ${JSON.stringify(SMALL_HEAP)}; keepHeapSmall()`)
  t.ok(small < usual - 20e6, `${Math.round(small / 1e6)} MB instead of ${Math.round(usual / 1e6)}`)
})
