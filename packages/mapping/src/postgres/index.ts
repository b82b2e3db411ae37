import { GENERATED_HEADER, type GeneratedFile } from '../generated.ts'
import { applyFile } from './apply.ts'
import { captureFile } from './capture.ts'
import { outboxFile } from './outbox.ts'
import { roleFile } from './role.ts'

/** The portal's generated migrations. */
export function portalFiles(): GeneratedFile[] {
  return [
    { path: 'migrations/postgres/02_sync_apply.sql', content: GENERATED_HEADER + applyFile() },
    { path: 'migrations/postgres/03_sync_outbox.sql', content: GENERATED_HEADER + outboxFile() },
    { path: 'migrations/postgres/04_sync_capture.sql', content: GENERATED_HEADER + captureFile() },
    { path: 'migrations/postgres/99_service_role.sql', content: GENERATED_HEADER + roleFile() },
  ]
}
