import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Crew, type Service, SERVICES } from './crew.ts'

/** Linux counts a process's time in these, and its memory in these; seconds, bytes. */
const TICK = 0.01
const PAGE = 4_096
/** How often memory is looked at, milliseconds. */
const EVERY = 100

/** Seconds of processor time that a service has used. Where there is no /proc it is asked, which costs it some. */
export async function cpuSeconds(crew: Crew, service: Service): Promise<number> {
  const stat = await proc(crew, service, 'stat')
  if (stat === null) return crew.metric(service, 'process_cpu_seconds_total')
  // What comes after the name, which may hold blanks: utime and stime are the 14th and 15th of all.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK
}

/** A service's resident memory, MB of a million bytes. */
export async function memoryOf(crew: Crew, service: Service): Promise<number> {
  const statm = await proc(crew, service, 'statm')
  const bytes =
    statm === null ? await crew.metric(service, 'process_resident_memory_bytes') : Number(statm.split(' ')[1]) * PAGE
  return bytes / 1e6
}

/** The highest memory of each service while `work` is under way. */
export async function peakMemory<T>(
  crew: Crew,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly peaks: ReadonlyMap<Service, number> }> {
  const peaks = new Map<Service, number>()
  const look = async () => {
    for (const service of SERVICES) peaks.set(service, Math.max(peaks.get(service) ?? 0, await memoryOf(crew, service)))
  }
  let under = true
  const looking = (async () => {
    while (under) {
      await look()
      await sleep(EVERY)
    }
  })()
  // Heard of below, also if it comes first.
  looking.catch(() => undefined)
  try {
    const result = await work()
    await look()
    return { result, peaks }
  } finally {
    under = false
    await looking
  }
}

async function proc(crew: Crew, service: Service, file: 'stat' | 'statm'): Promise<string | null> {
  return readFile(`/proc/${crew.pidOf(service)}/${file}`, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' && process.platform !== 'linux') return null
    throw error
  })
}
