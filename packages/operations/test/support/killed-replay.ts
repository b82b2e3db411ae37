// Replays all dead letters, and is killed in the third step: its letters are published and confirmed, and not yet removed.
import { openDeadLetterBox, openSender, watchOutcomes } from '@clinic-sync/broker'
import { judge, replay } from '../../src/index.ts'
import { QUIET } from './letters.ts'

const url = process.argv[2] ?? ''
const box = await openDeadLetterBox({ url })
const sender = await openSender({ url, name: 'operator' })
const { letters } = await judge(box.letters, (_, records) =>
  Promise.resolve(records.map((record) => ({ ...record, status: null, reason: null, supersededBy: null }))),
)
let removed = 0
await replay(
  {
    sender,
    watch: (direction, onOutcomes) => watchOutcomes({ url, log: QUIET, name: 'operator', direction, onOutcomes }),
    recordVersions: () => Promise.resolve([]),
    box: {
      take: (some) => box.take(some),
      remove(letter) {
        if (removed === 3) process.kill(process.pid, 'SIGKILL')
        removed++
        box.remove(letter)
      },
    },
  },
  letters,
)
