import { open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Fault } from '../fault.ts'
import { insertNotes } from '../ground/crowd.ts'
import type { Ground } from '../ground/ground.ts'
import { patiently } from '../ground/patience.ts'

const CHUNK = Buffer.alloc(1 << 20)
/** Enough that the tables have to grow. */
const NOTES = 120
const NOTE = 'x'.repeat(60_000)

/** Writes until nothing more fits. */
async function fill(path: string): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (let size = CHUNK.length; size >= 512;) {
      try {
        await file.write(CHUNK, 0, size)
      } catch {
        size = Math.floor(size / 2)
      }
    }
  } finally {
    await file.close()
  }
}

export const diskFull: Fault = {
  name: 'disk-full',
  about: "the disk under the portal's tables is full (53100) while long notes arrive; then there is room again",
  lastsMs: [6_000, 12_000],
  hurts: ['doctors'],
  unfit: ({ world: { disk } }: Ground) => (typeof disk === 'string' ? disk : null),
  async inject(ground, random) {
    const { disk } = ground.world
    if (typeof disk === 'string') throw new Error(disk)
    const ballast = join(disk.folder, 'ballast')
    await writeFile(ballast, '')
    await fill(ballast)
    // Text that no compression makes small.
    const noise = (n: number) =>
      Array.from({ length: 500 }, () => random.int(0, 2 ** 31).toString(36)).join('') + n + NOTE.slice(0, 10)
    await insertNotes(ground, NOTES, (n) => `full disk ${noise(n)}`.repeat(10))
    return async () => {
      await patiently(() => rm(ballast))
    }
  },
}

export const DISK_FAULTS: readonly Fault[] = [diskFull]
