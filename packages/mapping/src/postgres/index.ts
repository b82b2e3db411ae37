import type { GeneratedFile } from '../generated.ts'

/** The portal's generated migrations. */
export function portalFiles(): GeneratedFile[] {
  return []
}
