import type { Procedure } from '../engine/database.ts'
import { Blocked, isBlocked } from '../engine/locks.ts'
import { type Result, resultColumn, type Work } from '../engine/work.ts'
import { BIT, INT, nvarchar, type SqlValue } from '../values/types.ts'
import { DOORBELLS, doorbellOf, triggerOf } from './doorbells.ts'
import { malformed, thrown } from './malformed.ts'
import { appAddress, NO_ENDPOINT, notifyApp } from './notify-app.ts'
import type { Outbox } from './outbox.ts'
import { writeSetting } from './settings.ts'

/** `sync.UseDoorbell @Doorbell, @URL, @Secret`: that doorbell on, the others off. */
export function useDoorbell(outbox: Outbox): Procedure {
  return {
    name: 'UseDoorbell',
    parameters: [
      { name: 'Doorbell', type: nvarchar(20) },
      { name: 'URL', type: nvarchar(1000), default: null },
      { name: 'Secret', type: nvarchar(1000), default: null },
    ],
    lockTimeout: 2000,
    busy: "sync.UseDoorbell: somebody's open transaction holds the outbox; nothing is changed. Try again later",
    run(work, [name = null, url = null, secret = null]) {
      check(work, name)
      const before = doorbellOf(work)
      switchTriggers(work, outbox, String(name))
      writeSetting(work, 'Doorbell', String(name))
      if (url !== null) writeSetting(work, 'DoorbellURL', String(url))
      if (secret !== null) writeSetting(work, 'DoorbellSecret', String(secret))
      // Who waits in sync.WaitForChanges wakes, and learns at its next call that this doorbell is no more.
      if (before === 'service-broker' && name !== before) work.db.broker.send(work.tx)
      return []
    },
  }
}

function check({ db }: Work, name: SqlValue): void {
  if (name === 'none') return
  const doorbell = DOORBELLS.find((each) => each.name === name)
  if (doorbell === undefined)
    throw malformed('sync.UseDoorbell: @Doorbell is not one of service-broker, ole-automation, rest-endpoint, none')
  if (triggerOf(db, doorbell) === undefined)
    throw thrown(
      51_212,
      `sync.UseDoorbell: the doorbell ${doorbell.name} is not installed: run migrations/sqlserver/${doorbell.file}`,
    )
  if (doorbell.name === 'service-broker' && !db.broker.isEnabled)
    throw thrown(
      51_210,
      `sync.UseDoorbell: ${BROKER_OFF}. ${enable(db.name)}; it needs the database to itself: every open transaction in it is rolled back.`,
    )
}

/** Altering the table waits for every transaction in the outbox, so only what is not as it should be is altered. */
function switchTriggers({ db, tx }: Work, outbox: Outbox, name: string): void {
  for (const doorbell of DOORBELLS) {
    const trigger = triggerOf(db, doorbell)
    const on = doorbell.name === name
    if (trigger === undefined || db.isEnabled(trigger) === on) continue
    for (const row of outbox.pending()) if (isBlocked(tx, row, 'S')) throw new Blocked(row, 'S')
    db.enableTrigger(tx, trigger, on)
  }
}

const BROKER_OFF = 'Service Broker is off in this database'
const enable = (database: string) =>
  `Switch it on: ALTER DATABASE [${database}] SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE`

const RUNG = [resultColumn('Doorbell', nvarchar(20)), resultColumn('Rang', BIT), resultColumn('Answer', nvarchar(400))]

/** `sync.RingDoorbell`: rings the doorbell that is switched on, and says what came of it. */
export const ringDoorbell: Procedure = {
  name: 'RingDoorbell',
  parameters: [],
  async run(work) {
    const doorbell = doorbellOf(work)
    const answer = await ring(work, doorbell)
    const rang = answer === null || answer.startsWith('HTTP 2')
    return [{ columns: RUNG, rows: [[doorbell, rang, answer]], count: 1 }]
  },
}

/** What the receiver answered, or why nothing rang; null: rung, and there is no answer. */
async function ring(work: Work, doorbell: string): Promise<string | null> {
  const known = DOORBELLS.find(({ name }) => name === doorbell)
  if (known === undefined) return 'no doorbell is switched on'
  if (triggerOf(work.db, known) === undefined) return `the doorbell ${doorbell} is not installed`
  if (known.name === 'ole-automation') return notifyApp(appAddress(work))
  if (known.name === 'rest-endpoint') return NO_ENDPOINT
  if (!work.db.broker.isEnabled) return BROKER_OFF
  work.db.broker.send(work.tx)
  return null
}

/** `sync.RingServiceBroker`: what the trigger calls. */
export const ringServiceBroker: Procedure = {
  name: 'RingServiceBroker',
  parameters: [{ name: 'Answer', type: nvarchar(400), default: null }],
  run({ db, tx }) {
    if (db.broker.isEnabled) db.broker.send(tx)
    return []
  },
}

/** The migration that lets those who wait say so, and pass on rings that are for others. */
const HEARTBEAT = '10_doorbell_heartbeat.sql'

/**
 * `sync.WaitForChanges @TimeoutMs, @BeatMs`: returns when a change has been committed since the last call; 0 waits for ever. A
 * ring that wakes any session but the one that has called last wakes that one too: the older may be waiting for a client that is gone.
 */
export const waitForChanges: Procedure = {
  name: 'WaitForChanges',
  parameters: [
    { name: 'TimeoutMs', type: INT },
    { name: 'BeatMs', type: INT, default: null, since: HEARTBEAT },
  ],
  beatMs: ([, beatMs = null]) => beatMs as number | null,
  async run(work, [timeout = null, beatMs = null], signal): Promise<Result[]> {
    if (timeout === null || (timeout as number) < 0)
      throw malformed('sync.WaitForChanges: @TimeoutMs is missing or below 0')
    if (beatMs !== null && (beatMs as number) < 1) throw malformed('sync.WaitForChanges: @BeatMs is below 1')
    const { broker } = work.db
    if (!broker.isEnabled) throw thrown(51_210, `sync.WaitForChanges: ${BROKER_OFF}. ${enable(work.db.name)}`)
    if (doorbellOf(work) !== 'service-broker')
      throw thrown(51_211, 'sync.WaitForChanges: this doorbell is not switched on')
    const { id } = work.session
    // Its first call has a time limit; those without one, which follow, would have two sessions wake each other for ever.
    if ((timeout as number) > 0) broker.waiter = id
    const rang = await broker.bell.wait(timeout as number, signal)
    const passesOn = broker.waiter !== id && work.db.applied.has(HEARTBEAT)
    // Once a second at most: where the later session is gone, this one hears what it rings.
    if (rang && passesOn && Date.now() - work.session.rangOn > 1000) {
      work.session.rangOn = Date.now()
      broker.bell.ring()
    }
    return [{ columns: [resultColumn('Rang', BIT)], rows: [[rang]], count: 1 }]
  },
}
