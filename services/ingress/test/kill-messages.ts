/**
 * Where the ingress kills itself. `sending`: some bytes may have left. `published`: it hangs, and the test kills it once events
 * have arrived. `terminated`: it sends itself SIGTERM with a batch in its hands.
 */
export type Step =
  | 'taken'
  | 'taken-ahead'
  | 'sending'
  | 'published'
  | 'confirmed'
  | 'settled'
  | 'outcome-received'
  | 'outcome-settled'
  | 'terminated'

export type FromService = { readonly url: string } | { readonly armed: Step }
/** It loads its modules, then waits for `go`: the next process gets ready while one is being killed. */
export type ToService = { readonly go: true } | { readonly arm: Step }
