import { setTimeout as delay } from 'node:timers/promises'
import type { Random, Releasers } from '@clinic-sync/demo'
import {
  account,
  type Complaint,
  EVERYTHING,
  type Extent,
  finalRows,
  type Happening,
  historyOf,
  stream,
} from '@clinic-sync/prove/parts'
import { Checkpoints, type Findings } from './end/checkpoint.ts'
import { Recoveries, type Recovery } from './end/recovery.ts'
import { type Fault, type Heal, PATIENCE_MS } from './fault.ts'
import { type Ground, openGround } from './ground/ground.ts'

export interface ChaosOptions {
  readonly seed: number
  /** How long things go wrong: each fault has one turn at least, then pairs of them until this is over. */
  readonly ms: number
  readonly release: Releasers
  readonly say: (line: string) => void
  readonly faults: readonly Fault[]
  readonly nodes: number
  readonly ownDisk: boolean
  readonly pairs: boolean
  /** In place of the faults' own patience. */
  readonly patienceMs?: number | undefined
  readonly extent?: Extent
  readonly people?: number
  readonly pace?: number
}

/** One turn of a fault, or of two at a time. */
export interface Turn {
  readonly faults: readonly string[]
  readonly recovery: Recovery
  readonly findings: Findings
}

export interface Chaos {
  readonly turns: readonly Turn[]
  /** Faults that cannot happen here, and why. */
  readonly leftOut: readonly { readonly fault: string; readonly why: string }[]
  /** Edits that are not accounted for. */
  readonly complaints: readonly Complaint[]
  readonly committed: number
  readonly events: number
  readonly deadLetters: number
  /** Largest resident memory of each service, in bytes. */
  readonly memory: Readonly<Record<string, number>>
  /** What happened to a record, a line each, without values. */
  history(record: string): readonly string[]
}

const EXTENT: Extent = { sets: 6, batchesPerSet: 3, notesPerSet: 5 }
const MEMORY_LOOK_MS = 2_000

/** Runs the suite. What it starts is handed to `release` at once. @throws Error in words for people */
export async function chaos(options: ChaosOptions): Promise<Chaos> {
  const { seed, ms, release, say, faults, extent = EXTENT, people = 2, pace = 3 } = options
  const ground = await openGround({ ...options, extent, people, pace })
  const leftOut = faults.flatMap((fault) => {
    const why = fault.unfit?.(ground) ?? null
    return why === null ? [] : [{ fault: fault.name, why }]
  })
  const fit = faults.filter(({ name }) => leftOut.every(({ fault }) => fault !== name))
  const recoveries = new Recoveries(ground)
  const checkpoints = new Checkpoints(ground, recoveries, options.patienceMs)
  const memory = watchMemory(ground)
  release.add('watch on memory', async () => memory.stop())
  const turns: Turn[] = []

  say(`${people} of the staff and ${people} doctors at work, and things going wrong …`)
  const start = performance.now()
  ground.load.start()
  const turn = async (together: readonly Fault[]) => {
    const names = together.map(({ name }) => name)
    const random = stream(seed, 'turn', turns.length, ...names)
    const recovery = await wreak(ground, together, random, recoveries, options.patienceMs)
    if ('stuck' in recovery) say(`      ${names.join(' + ')}: not recovered ${recovery.stuck}`)
    const findings = await checkpoints.take()
    turns.push({ faults: names, recovery, findings })
    say(lineOf(names, recovery, findings, performance.now() - start))
  }
  for (const fault of fit) if (!fault.finale) await turn([fault])
  const sociable = fit.filter(({ alone, finale }) => !alone && !finale)
  const random = stream(seed, 'pairs')
  while (options.pairs && sociable.length > 1 && performance.now() - start < ms) {
    const first = random.pick(sociable)
    const second = random.pick(sociable.filter((fault) => fault !== first))
    await turn([first, second])
  }
  for (const fault of fit) if (fault.finale) await turn([fault])

  say('Everybody goes home. Accounting for every edit …')
  // First: what somebody still edited after the last look would not have arrived yet.
  await ground.load.stop()
  const last = await checkpoints.take()
  turns.push({ faults: [], recovery: { ms: 0 }, findings: last })
  return {
    turns,
    leftOut,
    complaints: await accounts(ground, checkpoints.dead),
    committed: ground.load.committed,
    events: ground.tap.fates.size,
    deadLetters: checkpoints.dead.size,
    memory: memory.peaks,
    history: (record) => historyOf(record, ground.load.ledger, around(record, ground.tap.happenings), start),
  }
}

/** One fault after the other begins; then both end; then the time counts. */
async function wreak(
  ground: Ground,
  faults: readonly Fault[],
  random: Random,
  recoveries: Recoveries,
  patience?: number,
): Promise<Recovery> {
  const { load } = ground
  const sides = new Set(faults.flatMap(({ hurts = [] }) => hurts))
  for (const side of sides) load.expectFailures(side, true)
  const heals: { readonly heal: Heal; readonly over: number }[] = []
  try {
    for (const fault of faults) {
      ground.tap.happened(EVERYTHING, `--- ${fault.name}`)
      const heal = await fault.inject(ground, random)
      heals.push({ heal, over: performance.now() + random.int(...fault.lastsMs) })
      if (faults.length > 1) await delay(random.int(0, 1_500))
    }
    for (const { over } of heals) await delay(Math.max(0, over - performance.now()))
  } finally {
    ground.tap.happened(EVERYTHING, '--- is over')
    const healed = await Promise.allSettled(heals.map(({ heal }) => heal()))
    for (const result of healed)
      if (result.status === 'rejected') ground.troubles.push(`healing failed: ${String(result.reason)}`)
    for (const side of sides) load.expectFailures(side, false)
  }
  const start = performance.now()
  // What has ended by itself is trouble, and an orchestrator starts it again.
  await ground.crew.everybodyUp().catch((error: unknown) => ground.troubles.push(String(error)))
  const recovery = await recoveries.measure(
    patience ?? Math.max(...faults.map(({ patienceMs = PATIENCE_MS }) => patienceMs)),
    start,
  )
  const withinMs = Math.max(...faults.map((fault) => fault.withinMs ?? Number.POSITIVE_INFINITY))
  if (!('ms' in recovery) || recovery.ms <= withinMs) return recovery
  return { stuck: `within ${withinMs / 1_000} s: it took ${(recovery.ms / 1_000).toFixed(1)} s` }
}

/** Edits of which nobody knows whether they took place are left out. */
async function accounts(ground: Ground, deadVersions: ReadonlySet<string>): Promise<readonly Complaint[]> {
  const { books, load, sides, world } = ground
  const [conflicts, lost] = [await books.conflicts(), await books.lostEdits()]
  const rows = await finalRows(sides.portal)
  const dead = new Set([...deadVersions].map((key) => key.split(' ')[1] ?? ''))
  const complaints = account({ seed: world.seed, ledger: load.ledger, rows, conflicts, lost, dead })
  return complaints.filter(({ record }) => !load.unsure.has(record))
}

/** What happened to a record, and the faults within 20 s of that. */
function around(record: string, happenings: readonly Happening[]): readonly Happening[] {
  const own = happenings.filter((happening) => happening.record === record)
  return happenings
    .filter(
      (happening) => happening.record === EVERYTHING && own.some(({ at }) => Math.abs(at - happening.at) < 20_000),
    )
    .concat(own)
}

function watchMemory({ crew }: Ground) {
  const peaks: Record<string, number> = {}
  const timer = setInterval(() => {
    void crew.memory().then((sizes) => {
      for (const [service, size] of Object.entries(sizes)) peaks[service] = Math.max(peaks[service] ?? 0, size)
    })
  }, MEMORY_LOOK_MS)
  return { peaks, stop: () => clearInterval(timer) }
}

function lineOf(names: readonly string[], recovery: Recovery, findings: Findings, ms: number): string {
  const { lost, twice, differences, troubles } = findings
  const how =
    'ms' in recovery ? `recovered in ${(recovery.ms / 1_000).toFixed(1)} s` : `NOT RECOVERED ${recovery.stuck}`
  const wrong = [
    ...(lost.length > 0 ? [`${lost.length} lost`] : []),
    ...(twice.length > 0 ? [`${twice.length} twice`] : []),
    ...(differences.length > 0 ? [`${differences.length} differ`] : []),
    ...troubles,
  ]
  return `${(ms / 1_000).toFixed(0).padStart(4)} s  ${names.join(' + ')}: ${how}${wrong.length > 0 ? `; ${wrong.join('; ')}` : ''}`
}
