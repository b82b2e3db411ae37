// Takes all dead letters in hand and keeps them until it is killed.
import { openDeadLetterBox } from '../../src/index.ts'

const box = await openDeadLetterBox({ url: process.argv[2] ?? '' })
process.send?.(box.letters.length)
setInterval(() => undefined, 1_000)
