import { runService } from '@clinic-sync/runtime'
import { start } from './start.ts'

runService({ name: 'sql-to-postgres', start: (context) => start(context) })
