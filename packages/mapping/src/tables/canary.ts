import { int, table, text } from '../define.ts'
import { CANARY } from '../types.ts'

/** How long a token may be. */
export const TOKEN_LENGTH = 40
/** The canary's one record. Several who trace at once tell their own by its version. */
export const CANARY_KEY = 1

/**
 * One row, on both sides from the start. The clinic's column is written in the clinic only, the shared one in the portal only, so that no
 * trace ever makes a conflict.
 */
export const canary = table(CANARY, {
  clinic: 'Canary',
  isOurs: true,
  key: int('canary_id', 'CanaryID', { notNull: true }),
  columns: [
    text('clinic_token', 'ClinicToken', TOKEN_LENGTH),
    text('portal_token', 'PortalToken', TOKEN_LENGTH, { shared: 'portal-wins' }),
  ],
})
