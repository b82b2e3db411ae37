import { SyncError } from '@clinic-sync/sync'

/** How long one area may take, milliseconds. */
export const PATIENCE_MS = 10_000

export type Bounded<T> = { readonly facts: T } | { readonly error: SyncError }

/**
 * What `look` found, or why it could not look: one area's failure never hides another's.
 *
 * @param name of what is looked at, for the sentence that it did not answer.
 */
export async function bounded<T>(name: string, look: () => Promise<T>, ms = PATIENCE_MS): Promise<Bounded<T>> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new SyncError('SYNC_DATABASE_DOWN', `${name} did not answer within ${ms / 1000} s`)
    timer = setTimeout(() => reject(error), ms)
  })
  try {
    return { facts: await Promise.race([look(), late]) }
  } catch (error) {
    if (error instanceof SyncError) return { error }
    // Its message may hold anything, so only its kind is told.
    const kind = error instanceof Error ? error.name : typeof error
    return { error: new SyncError('SYNC_UNFORESEEN', `${name} could not be looked at (${kind})`, { cause: error }) }
  } finally {
    clearTimeout(timer)
  }
}
