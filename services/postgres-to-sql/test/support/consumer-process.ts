import { runService } from '@clinic-sync/runtime'
import { start } from '../../src/index.ts'

/** The service as it is, but with shorter retries, and killed after the step that CLINIC_SYNC_TEST_DIE_AT names. */
const dieAt = process.env.CLINIC_SYNC_TEST_DIE_AT
runService({
  name: 'postgres-to-sql',
  start: (context) =>
    start(context, {
      retryDelaysMs: [200, 300, 400],
      onStep: (step) => {
        if (step === dieAt) process.kill(process.pid, 'SIGKILL')
      },
    }),
})
