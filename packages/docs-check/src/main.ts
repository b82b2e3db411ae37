import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { releasers } from '@clinic-sync/demo'
import { blocksOf } from './blocks/blocks.ts'
import { checkPages, faultLine } from './check/check.ts'
import { checkRoutes, routesIn } from './check/routes.ts'
import { readPages, ROOT } from './pages.ts'
import { leftOut, type Outcome, runBlock } from './running/run.ts'
import { setStage } from './running/stage.ts'

const USAGE = `npm run docs                    holds README and docs against the code, and runs their commands on a demo
npm run docs -- --list          only says which commands are run, how, and which are not and why
npm run docs -- --docker        only what needs a Docker engine, on the demo that docker compose runs in this folder
npm run docs -- docs/x.md …     only the commands of these pages
SQLSERVER_URL: an empty database of a real SQL Server, for what needs one`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: { type: 'boolean' }, docker: { type: 'boolean' }, help: { type: 'boolean' } },
})
const say = (line: string) => void process.stdout.write(`${line}\n`)
const release = releasers()

async function main(): Promise<number> {
  if (values.help) {
    say(USAGE)
    return 0
  }
  const pages = readPages()
  const unknown = positionals.filter((path) => !pages.some((page) => page.path === path))
  if (unknown.length > 0) throw new Error(`There is no page ${unknown.join(', ')}.`)
  const read = pages.map(blocksOf)
  const faults = checkPages(pages).filter(({ path }) => positionals.length === 0 || positionals.includes(path))
  const blocks = read
    .flatMap((each) => each.blocks)
    .filter(({ path }) => positionals.length === 0 || positionals.includes(path))
  const means = { sqlServer: Boolean(process.env.SQLSERVER_URL), docker: values.docker ?? false }
  const outcomes: Outcome[] = []
  if (means.docker && existsSync(join(ROOT, '.env')))
    throw new Error('This folder has a .env: what it names is a clinic’s, and no demo to try commands on.')
  const isWanted = !values.list && !means.docker && blocks.some((block) => leftOut(block, means) === null)
  const stage = isWanted ? await setStage(release, () => undefined) : null
  for (const block of blocks) {
    const why = leftOut(block, means)
    let outcome: Outcome | undefined
    if (why !== null) outcome = { block, result: 'left out', message: why, ms: 0 }
    else if (!values.list) outcome = await runBlock(block, stage)
    if (outcome) outcomes.push(outcome)
    say(lineFor(block.path, block.line, outcome ?? `run as ${block.marker.how}`))
  }
  if (stage !== null) {
    const { ingressUrl, operatorToken } = stage.demo.services
    faults.push(...(await checkRoutes(routesIn(pages), ingressUrl, operatorToken)))
  }
  for (const fault of faults) say(faultLine(fault))
  const failed = outcomes.filter(({ result }) => result === 'failed').length
  const count = (result: Outcome['result']) => outcomes.filter((each) => each.result === result).length
  say(
    `\n${count('passed')} passed, ${failed} failed, ${count('left out')} not run here; ${faults.length} other faults.`,
  )
  return failed + faults.length === 0 ? 0 : 1
}

function lineFor(path: string, line: number, outcome: Outcome | string): string {
  const where = `${path}:${line}`
  if (typeof outcome === 'string') return `${where}  ${outcome}`
  const { result, message, ms } = outcome
  if (result === 'passed') return `${where}  passed, ${(ms / 1_000).toFixed(1)} s`
  return result === 'failed'
    ? `${where}  FAILED: ${message.replaceAll('\n', '\n    ')}`
    : `${where}  not run: ${message}`
}

async function finish(code: number): Promise<never> {
  const left = await release.releaseAll()
  if (left.length > 0) say(`Could not be stopped: ${left.join(', ')}.`)
  process.exit(left.length > 0 ? 1 : code)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void finish(130))
main().then(finish, async (error: unknown) => {
  say(error instanceof Error ? error.message : String(error))
  await finish(1)
})
