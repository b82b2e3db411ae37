import type { GeneratedFile } from '../generated.ts'

/** The clinic's generated migrations. */
export function clinicFiles(): GeneratedFile[] {
  return []
}
