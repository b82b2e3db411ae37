/**
 * The original system's outbox was taken over (01), and the two sides have not been compared yet (`npm run sync -- take-over`). An
 * installation that has sent anything since is past it.
 */
export const NOT_TAKEN_OVER = `EXISTS (SELECT 1 FROM sync.Settings s WHERE s.Name = N'OriginalQueue' AND s.Value = N'copied')
    AND NOT EXISTS (SELECT 1 FROM sync.Settings s WHERE s.Name = N'TakenOver')
    AND NOT EXISTS (SELECT 1 FROM dbo.SyncQueue v WITH (READUNCOMMITTED) WHERE v.EventVersion IS NOT NULL)`
