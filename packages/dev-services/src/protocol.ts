/** What the guardian and its parent say to each other, one JSON object a line. */

/** Who a process runs as, where it may not run as root (Postgres). */
export type User = { uid: number; gid: number }

export type ProcessSpec = {
  command: string
  args: string[]
  env: Record<string, string>
  /** Default: the guardian's folder. */
  cwd?: string
  user?: User
  /** File name in the guardian's folder that standard output and error are appended to. */
  log: string
  stopSignal: NodeJS.Signals
  /** How long the stop signal may take before SIGKILL, in milliseconds. */
  graceMs: number
  /** True: never interrupted, waited for instead (a package installation must not stop half-way). */
  finish?: boolean
  /** Commands to run once it has ended, such as removing a container. */
  after?: string[][]
}

export type ToGuardian = { id: number } & (
  | { do: 'start'; spec: ProcessSpec }
  | { do: 'end'; process: number; signal?: NodeJS.Signals }
  | { do: 'own'; user: User }
)

export type FromGuardian =
  | { folder: string }
  | { id: number; ok: { process?: number; pid?: number } }
  | { id: number; error: string }
  | { exited: number; code: number | null; signal: NodeJS.Signals | null }
