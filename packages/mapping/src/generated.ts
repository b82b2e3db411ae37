/** A file that `npm run generate` writes. `path` is relative to the repository's root. */
export interface GeneratedFile {
  readonly path: string
  readonly content: string
}

export const GENERATED_HEADER =
  '-- Generated from packages/mapping by `npm run generate`. Do not edit: change the mapping.\n'
