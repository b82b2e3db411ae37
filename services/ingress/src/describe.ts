import { DatabaseError, SyncError } from '@clinic-sync/sync'

/**
 * What may be logged about an error. Our own errors' messages never carry values; a driver's or a bug's may, so of
 * those only the kind, the code and the place are kept, and a `cause` is never followed.
 */
export function describe(error: unknown): Record<string, unknown> {
  if (error instanceof SyncError)
    return {
      code: error.code,
      ...(error instanceof DatabaseError && error.number !== undefined ? { number: error.number } : {}),
      reason: error.message,
      advice: error.advice,
    }
  if (!(error instanceof Error)) return { code: 'UNEXPECTED' }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'UNEXPECTED'
  return { code, reason: error.name, at: frames(error) }
}

/** One sentence for a caller or the readiness answer. */
export const sentence = (error: unknown): string =>
  error instanceof SyncError ? error.message : 'An unexpected error; see the log.'

const frames = (error: Error): string[] =>
  (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => line.trim())
    .slice(0, 5)
