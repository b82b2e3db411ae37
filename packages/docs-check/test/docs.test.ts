import { releasers } from '@clinic-sync/demo'
import t from 'tap'
import { blocksOf } from '../src/blocks/blocks.ts'
import { checkPages, faultLine } from '../src/check/check.ts'
import { checkRoutes, routesIn } from '../src/check/routes.ts'
import { pageOf, readPages } from '../src/pages.ts'
import { leftOut, runBlock } from '../src/running/run.ts'
import { setStage } from '../src/running/stage.ts'

// A demo is started, and then some forty commands one after the other.
t.setTimeout(400_000)

const pages = readPages()

t.test('README and docs agree with the code', async (t) => t.same(checkPages(pages).map(faultLine), []))

t.test('every command of README and docs that can run here does what it says', async (t) => {
  // Never that one: it may be somebody's real clinic.
  delete process.env.SQLSERVER_URL
  delete process.env.SQLSERVER_ADMIN_URL
  const release = releasers()
  t.teardown(() => release.releaseAll())
  const stage = await setStage(release, () => undefined)
  const means = { sqlServer: false, docker: false }
  const blocks = pages.flatMap((page) => blocksOf(page).blocks).filter((block) => leftOut(block, means) === null)
  t.ok(blocks.length >= 10, 'some are run')
  for (const block of blocks) {
    const { result, message } = await runBlock(block, stage)
    t.equal(result, 'passed', `${block.path}:${block.line} ${message}`)
  }
  const { ingressUrl, operatorToken } = stage.demo.services
  t.same((await checkRoutes(routesIn(pages), ingressUrl, operatorToken)).map(faultLine), [], 'every route is there')

  // The runner itself: what fails is not passed over.
  const run = async (fence: string, code: string, comment: string) => {
    const [block] = blocksOf(pageOf('x.md', `${comment}\n\`\`\`${fence}\n${code}\n\`\`\`\n`)).blocks
    return block === undefined ? undefined : (await runBlock(block, stage)).message
  }
  t.match(await run('bash', 'false\necho on', '<!-- run: demo -->'), /^ended with 1/, 'a line that fails')
  t.match(await run('bash', 'false | cat', '<!-- run: demo -->'), /^ended with 1/, 'a pipe that fails')
  t.match(await run('bash', 'echo $NOT_SET', '<!-- run: demo -->'), /unbound/, 'a variable that nobody sets')
  t.match(await run('bash', 'echo <name>', '<!-- run: demo -->'), /placeholder <name> is left/)
  t.match(await run('bash', 'true', '<!-- run: demo, exit 1 -->'), /^ended with 0/, 'one that should fail')
  t.match(await run('bash', 'echo a', '<!-- run: demo, shows "b" -->'), /does not show “b”:\na/)
  t.match(await run('bash', 'docker compose up', '<!-- run: demo -->'), /mark this block as run: docker/)
  t.match(await run('sql', 'SELECT nothing FROM nowhere', '<!-- run: clinic -->'), /^failed:/)
  t.match(await run('sql', 'SELECT nothing FROM nowhere', '<!-- run: portal -->'), /^failed:/)
  t.match(await run('bash', 'true', '<!-- run: demo, x = "y" -->'), /does not stand in the block/)
  t.equal(await run('bash', 'echo SYNC_OPERATOR_TOKEN=mine > .env; test ! -e secrets', '<!-- run: demo -->'), '')
  t.equal(await run('sql', 'UPDATE patients SET phone = $$x$$', '<!-- run: portal, rolled back -->'), '')
  const { rows } = await stage.portal.query("SELECT count(*)::int AS n FROM patients WHERE phone = 'x'")
  t.same(rows, [{ n: 0 }], 'rolled back')
})
