import { NOT_YET } from './index.ts'

process.stderr.write(`${NOT_YET}\n`)
process.exitCode = 1
