import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Guarded } from './guarded.ts'
import { capture, find, isRoot, unprivilegedUser } from './machine.ts'

/** A file system of its own that can run full. */
export interface SmallDisk {
  readonly folder: string
  /** Unmounts it. Whatever has files open there must have ended. */
  close(): Promise<void>
}

/**
 * Mounts a file system in memory of so many megabytes, for the user that Postgres runs as. It is gone when this process is.
 *
 * @returns why there can be none, otherwise
 */
export async function smallDisk(megabytes: number): Promise<SmallDisk | string> {
  if (process.platform !== 'linux') return 'only Linux has tmpfs'
  if (!isRoot()) return 'mounting a file system needs root'
  const [mount, umount, sleep] = await Promise.all([find('mount'), find('umount'), find('sleep')])
  if (!mount || !umount || !sleep) return 'no mount command'
  const guarded = await Guarded.open()
  const folder = join(guarded.folder, 'disk')
  try {
    await mkdir(folder)
    const user = await unprivilegedUser()
    await guarded.own(user)
    const options = `size=${megabytes}m,mode=700,uid=${user.uid},gid=${user.gid}`
    const mounted = await capture(mount, ['-t', 'tmpfs', '-o', options, 'tmpfs', folder])
    if (mounted.code !== 0) {
      await guarded.close()
      return `mount: ${mounted.errors || 'refused'}`
    }
    // The guardian unmounts it when this process is gone, however it went; lazily, should somebody still have a file open.
    await guarded.start({
      command: sleep,
      args: ['infinity'],
      env: {},
      log: 'disk.log',
      stopSignal: 'SIGKILL',
      graceMs: 1_000,
      after: [[umount, '--lazy', folder]],
    })
    return { folder, close: () => guarded.close() }
  } catch (error) {
    await capture(umount, ['--lazy', folder])
    await guarded.close()
    throw error
  }
}
