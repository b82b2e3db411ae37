import { connectClinic, type Releasers } from '@clinic-sync/demo'
import { openClinic } from '@clinic-sync/clinic'
import { openPortal } from '@clinic-sync/portal'
import { Books, type Extent } from '@clinic-sync/prove/parts'
import { createLogger } from '@clinic-sync/runtime'
import type { Operable, SyncDatabase } from '@clinic-sync/sync'
import type mssql from 'mssql'
import pg from 'pg'
import { Canaries } from '../people/canaries.ts'
import { Load } from '../people/load.ts'
import { Crew } from './crew.ts'
import { RabbitDesk } from './rabbit-desk.ts'
import { Tap } from './tap.ts'
import { openWorld, type World } from './world.ts'

/** All that a fault may reach for. */
export interface Ground {
  readonly world: World
  readonly crew: Crew
  readonly load: Load
  readonly canaries: Canaries
  readonly tap: Tap
  readonly books: Books
  readonly desk: RabbitDesk
  readonly clinic: mssql.ConnectionPool
  readonly portal: pg.Pool
  /** To compare them. */
  readonly sides: Readonly<
    Record<'clinic' | 'portal', Pick<SyncDatabase & Operable, 'readRows' | 'requeue' | 'recordVersions'>>
  >
  readonly say: (line: string) => void
  /** Records that a fault has made, and whose dead letters are no surprise. */
  readonly provoked: Set<string>
  /** What a fault found wrong by itself. */
  readonly troubles: string[]
}

export interface GroundOptions {
  readonly seed: number
  readonly release: Releasers
  readonly say: (line: string) => void
  readonly nodes: number
  readonly ownDisk: boolean
  readonly extent: Extent
  readonly people: number
  readonly pace: number
}

/** Starts everything, fills both sides, and waits until they are at rest. What it starts is handed to `release` at once. */
export async function openGround(options: GroundOptions): Promise<Ground> {
  const { release, say, extent, people, pace } = options
  const world = await openWorld(options)
  const crew = await Crew.open({ addresses: world.forServices, timeZone: world.timeZone, folder: world.folder })
  release.add('services', () => crew.close())
  await crew.everybodyUp()
  const { clinic: clinicUrl, portal: portalUrl, rabbit } = world.addresses
  const tap = await Tap.open(rabbit)
  release.add('tap', () => tap.close())
  const desk = new RabbitDesk(rabbit)
  release.add('desk', () => desk.close())
  const clinic = await connectClinic(clinicUrl, 3)
  release.add('connections to the clinic', () => clinic.close())
  const portal = new pg.Pool({ connectionString: portalUrl, max: 4, connectionTimeoutMillis: 5_000 })
  portal.on('error', () => undefined)
  release.add('connections to the portal', () => portal.end())
  const log = createLogger({ name: 'chaos', level: 'silent' })
  const sides = {
    clinic: await openClinic({ url: clinicUrl, timeZone: world.timeZone, log }),
    portal: await openPortal({ url: portalUrl, log }),
  }
  release.add('both sides', () => Promise.all([sides.clinic.close(), sides.portal.close()]))
  const load = new Load({ world, extent, people, pace })
  release.add('people', () => load.stop())
  say('Filling the clinic, and the portal from it …')
  await load.fill()
  const canaries = await Canaries.open(world, load.ledger, release)
  return {
    world,
    crew,
    load,
    canaries,
    tap,
    books: new Books(clinic, portal),
    desk,
    clinic,
    portal,
    sides,
    say,
    provoked: new Set(),
    troubles: [],
  }
}
