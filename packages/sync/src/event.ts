import type { Change, Side, SyncEvent } from '@clinic-sync/contracts'

/** Puts a change into its envelope. The id says which change it is: published twice, it is the same event. */
export function toEvent(source: Side, change: Change): SyncEvent {
  const { capturedAt, row, ...data } = change
  const envelope = {
    specversion: '1.0' as const,
    id: `${source}/${data.table}/${data.key}/${data.version}`,
    source,
    subject: `${data.table}/${data.key}`,
    time: capturedAt,
  }
  return row === null
    ? { ...envelope, type: 'sync.row.deleted.v1', data: { ...data, row } }
    : { ...envelope, type: 'sync.row.upserted.v1', data: { ...data, row } }
}
