import type { ScriptConnection } from '@clinic-sync/clinic'
import type { DoorbellFile } from './files.ts'

/** What matters of a clinic's engine for which doorbells it can have. */
export interface Engine {
  /** 13 is SQL Server 2016, 17 is 2025. */
  readonly majorVersion: number
  /** SERVERPROPERTY('EngineEdition'): 2 to 4 are servers of one's own, 5 is Azure SQL Database, 8 its Managed Instance. */
  readonly edition: number
  readonly linux: boolean
  /** Stands in for SQL Server in checks. */
  readonly babelfish: boolean
}

const AZURE_SQL_DATABASE = 5
const OWN_SERVER = [2, 3, 4]
/** SQL Server 2025: https://learn.microsoft.com/sql/relational-databases/system-stored-procedures/sp-invoke-external-rest-endpoint-transact-sql */
const HAS_REST = 17

/** @throws the driver's error */
export async function readEngine(connection: ScriptConnection): Promise<Engine> {
  const [row = {}] = await connection.batch(
    "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(100)) AS version, " +
      "CAST(SERVERPROPERTY('EngineEdition') AS int) AS edition, " +
      "CAST(SERVERPROPERTY('Babelfish') AS nvarchar(10)) AS babelfish, CAST(@@VERSION AS nvarchar(400)) AS about",
  )
  return {
    majorVersion: Number.parseInt(String(row.version), 10),
    edition: Number(row.edition),
    linux: /linux/i.test(String(row.about)),
    babelfish: row.babelfish === '1',
  }
}

/** Why an engine cannot have a doorbell, and what it would take; null: it can. */
export function whyNot(engine: Engine, doorbell: DoorbellFile): string | null {
  if (engine.babelfish) return 'Babelfish lacks it; it takes SQL Server'
  switch (doorbell) {
    case 'service-broker':
      return engine.edition === AZURE_SQL_DATABASE
        ? 'Azure SQL Database has no Service Broker; it takes a SQL Server, or CLINIC_DOORBELL=http'
        : null
    case 'ole-automation':
      if (!OWN_SERVER.includes(engine.edition))
        return 'OLE Automation takes a SQL Server on Windows, and this is Azure; CLINIC_DOORBELL=service-broker needs none'
      return engine.linux
        ? 'OLE Automation takes SQL Server on Windows, and this one runs on Linux; CLINIC_DOORBELL=service-broker works there'
        : null
    case 'rest-endpoint':
      return engine.majorVersion >= HAS_REST
        ? null
        : `it takes SQL Server 2025 (version ${HAS_REST}), and this is version ${engine.majorVersion}; CLINIC_DOORBELL=service-broker works there`
  }
}
