import { counted, discard, type JudgedLetter, type Yard } from '@clinic-sync/operations'
import { SyncError } from '@clinic-sync/sync'
import { userInfo } from 'node:os'
import { createInterface } from 'node:readline/promises'
import type { Progress } from './progress.ts'

export interface DiscardOptions {
  /** Missing: the user of the operating system. */
  readonly who?: string
  readonly why: string
  readonly yes: boolean
  readonly input: NodeJS.ReadStream
  readonly out: NodeJS.WriteStream
  readonly progress: Progress
}

/** Gives letters up, after asking. @returns whether it did. @throws SyncError SYNC_USAGE where nobody can be asked. */
export async function discardCommand(
  yard: Yard,
  letters: readonly JudgedLetter[],
  options: DiscardOptions,
): Promise<boolean> {
  const { who = userInfo().username, why, yes, out, progress } = options
  if (why.trim() === '') throw new SyncError('SYNC_USAGE', '--why must say why, in a few words')
  if (!yes && !(await confirmed(letters.length, options))) {
    out.write('Nothing was discarded.\n')
    return false
  }
  const sender = await yard.sender()
  const ports = {
    box: yard.box,
    sender,
    settle: (...settling: Parameters<Yard['settle']>) => yard.settle(...settling),
  }
  try {
    const done = await discard(ports, letters, { by: who, why: why.trim() }, (n, total) => progress.at(n, total))
    progress.stop()
    out.write(
      `${counted(done, 'dead letter')} discarded by ${who}: kept in the queue sync.discarded for 49 days; the outbox says who and why.\n`,
    )
    return true
  } finally {
    progress.stop()
  }
}

async function confirmed(count: number, { input, out }: DiscardOptions): Promise<boolean> {
  if (!input.isTTY) throw new SyncError('SYNC_USAGE', 'Nobody can be asked here whether to discard: add --yes')
  const question = createInterface({ input, output: out })
  try {
    const answer = await question.question(
      `Discard ${counted(count, 'dead letter')}? Their changes will not be applied. [y/N] `,
    )
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    question.close()
  }
}
