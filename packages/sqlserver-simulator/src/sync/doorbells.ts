import { DOORBELL_TRIGGERS } from '@clinic-sync/mapping'
import type { Database, Trigger } from '../engine/database.ts'
import type { Table } from '../engine/table.ts'
import type { Work } from '../engine/work.ts'
import { appAddress, notifyFromTrigger } from './notify-app.ts'
import { readSetting } from './settings.ts'

interface Doorbell {
  readonly name: keyof typeof DOORBELL_TRIGGERS
  readonly trigger: string
  /** What the trigger calls, without its schema. */
  readonly procedure: string
  /** The migration that makes it. */
  readonly file: string
}

export const DOORBELLS: readonly [Doorbell, Doorbell, Doorbell] = [
  {
    name: 'service-broker',
    trigger: DOORBELL_TRIGGERS['service-broker'],
    procedure: 'RingServiceBroker',
    file: '07_service_broker_doorbell.sql',
  },
  {
    name: 'ole-automation',
    trigger: DOORBELL_TRIGGERS['ole-automation'],
    procedure: 'sp_NotifyAppOfSync',
    file: '04_webhook_notification_system.sql',
  },
  {
    name: 'rest-endpoint',
    trigger: DOORBELL_TRIGGERS['rest-endpoint'],
    procedure: 'NotifyAppByRest',
    file: '08_rest_endpoint_doorbell.sql',
  },
]

/** The doorbells' triggers on dbo.SyncQueue. Which of them is enabled decides what rings, as in T-SQL. */
export function doorbellTriggers(outbox: Table): Trigger[] {
  return DOORBELLS.map(({ name, trigger }) => ({
    name: trigger,
    table: outbox,
    fire(work, changes) {
      if (!changes.some(({ before }) => before === null)) return
      if (name === 'service-broker' && work.db.broker.isEnabled) work.db.broker.send(work.tx)
      if (name !== 'ole-automation') return
      const address = appAddress(work)
      work.calls.push(() => notifyFromTrigger(work, address))
    },
  }))
}

/** A doorbell's trigger; undefined: its migration is not installed. */
export const triggerOf = (db: Database, doorbell: Doorbell): Trigger | undefined =>
  db.triggers.find(({ name }) => name === doorbell.trigger)

/** The doorbell that is switched on, or `none`. */
export const doorbellOf = (work: Work): string => readSetting(work, 'Doorbell') ?? 'none'
