import type mssql from 'mssql'

/** The clinic's. */
const HOME = { name: 'Asia/Baghdad', minutes: 180 }

/**
 * CLINIC_TIME_ZONE for a server whose clock may be anywhere: a container's is UTC. What the server itself writes (GETDATE())
 * would arrive shifted otherwise. A zone with summer time is taken by its offset of now, which is enough for a demo.
 */
export async function serverZone(clinic: mssql.ConnectionPool): Promise<string> {
  const { recordset } = await clinic
    .request()
    .query<{ seconds: number }>('SELECT DATEDIFF(second, SYSUTCDATETIME(), SYSDATETIME()) AS seconds')
  const minutes = Math.round((recordset[0]?.seconds ?? 0) / 60)
  if (minutes === 0) return 'UTC'
  if (minutes === HOME.minutes) return HOME.name
  const digits = (n: number) => String(n).padStart(2, '0')
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${digits(Math.floor(size / 60))}:${digits(size % 60)}`
}
