import { facts } from './inspecting-facts.ts'
import { clientsAtRisk } from './inspecting-clients.ts'
import { original } from './inspecting-original.ts'
import { indexes, rights, triggers } from './inspecting-objects.ts'
import { bookkeeping, broker, database, server } from './inspecting-server.ts'
import { procedure } from './text.ts'

/** `sync.Inspect`: everything the doctor command checks, as rows (Name, Value). */
export function inspect(): string {
  return procedure(
    'sync.Inspect',
    '',
    `
-- What the doctor command looks at. Rows (Name, Value): '1' and '0' for yes and no, '' for a setting that is not there, NULL for
-- what could not be seen, because the engine lacks it or the login may not. No value of a patient's.
SET NOCOUNT ON
SET XACT_ABORT OFF
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 10000

${facts([server(), database(), broker(), bookkeeping(), original(), triggers(), rights(), indexes(), clientsAtRisk()])}

SET LOCK_TIMEOUT -1`,
  )
}
