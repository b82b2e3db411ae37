import type { Change, Side, SyncEvent } from '@clinic-sync/contracts'

/** Puts a change into its envelope. The id says which change it is: published twice, it is the same event. */
export function toEvent(source: Side, change: Change): SyncEvent {
  const { table, key, version, seen, since, base, row, capturedAt } = change
  const subject = `${table}/${key}`
  // Field by field: copied with a spread, it took four times as long.
  const id = `${source}/${subject}/${version}`
  return row === null
    ? {
        specversion: '1.0',
        id,
        source,
        subject,
        time: capturedAt,
        type: 'sync.row.deleted.v1',
        data: { table, key, version, seen, since, base, row },
      }
    : {
        specversion: '1.0',
        id,
        source,
        subject,
        time: capturedAt,
        type: 'sync.row.upserted.v1',
        data: { table, key, version, seen, since, base, row },
      }
}
