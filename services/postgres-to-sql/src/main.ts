import { runService } from '@clinic-sync/runtime'
import { start } from './start.ts'

runService({ name: 'postgres-to-sql', start: (context) => start(context) })
