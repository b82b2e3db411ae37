import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const SMALL_HEAP = fileURLToPath(new URL('../src/small-heap.ts', import.meta.url))

/** Reads, holds and drops pages as a drain does. @returns the most that the heap had meanwhile, in bytes */
async function most(before: string): Promise<number> {
  const script = `
    import { getHeapStatistics } from 'node:v8'
    ${before}
    const pages = []
    let most = 0
    for (let n = 0; n < 200; n++) {
      const text = (i) => JSON.stringify({ id: n * 1000 + i, note: 'as said on Thursday', more: 'x'.repeat(400) + i })
      pages.push(Array.from({ length: 1000 }, (_, i) => ({ row: JSON.parse(text(i)), content: Buffer.from(text(i)) })))
      if (pages.length > 3) pages.shift()
      most = Math.max(most, getHeapStatistics().total_physical_size)
    }
    console.log(most)`
  const args = ['--import=tsx', '--input-type=module', '--eval', script]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, NODE_OPTIONS: '' } })
  return Number(stdout)
}

t.test('a heap that holds a few pages at a time stays small', async (t) => {
  const usual = await most('')
  const small = await most(`import { keepHeapSmall } from ${JSON.stringify(SMALL_HEAP)}; keepHeapSmall()`)
  t.ok(small < usual - 15e6, `${Math.round(small / 1e6)} MB instead of ${Math.round(usual / 1e6)}`)
})
