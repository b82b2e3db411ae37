import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import type { AppOptions } from '../src/app.ts'
import { PAGE_FOLDER, readPage } from '../src/page-files.ts'
import { start, TOKEN } from './http.ts'

const POLICY =
  "default-src 'none';script-src 'self';style-src 'self';connect-src 'self';img-src 'self' data:;form-action 'self';base-uri 'none';frame-ancestors 'none'"

t.test('the page is served to everybody, holds nothing, and allows nothing from elsewhere', async (t) => {
  const { fastify } = await start(t)
  const index = await fastify.inject('/')
  t.equal(index.statusCode, 200)
  t.match(index.headers, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': POLICY,
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-cache',
  })
  t.notOk(index.body.includes(TOKEN))
  const named = [...index.body.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, path = '']) => path)
  t.ok(named.length >= 3)
  for (const path of named) {
    const file = await fastify.inject(`/${path}`)
    t.equal(file.statusCode, 200, path)
    t.equal(file.headers['content-security-policy'], POLICY, path)
  }
})

t.test('each file is kept by a browser, and asked about; zipped where that is taken', async (t) => {
  const { fastify } = await start(t)
  const headers = { 'accept-encoding': 'gzip, br' }
  const first = await fastify.inject({ url: '/page/main.js', headers })
  t.match(first.headers, { 'content-encoding': 'gzip', 'content-type': 'text/javascript; charset=utf-8' })
  const plain = await fastify.inject('/page/main.js')
  t.notOk('content-encoding' in plain.headers)
  t.equal(gunzipSync(first.rawPayload).toString(), plain.body)
  const etag = String(first.headers.etag)
  const again = await fastify.inject({ url: '/page/main.js', headers: { ...headers, 'if-none-match': etag } })
  t.match([again.statusCode, again.body], [304, ''])
  const other = await fastify.inject({ url: '/page/main.js', headers: { 'if-none-match': '"another"' } })
  t.equal(other.statusCode, 200)
})

t.test('nothing else of the folder is served, nor anything outside of it', async (t) => {
  const { fastify } = await start(t)
  for (const url of [
    '/page/tsconfig.json',
    '/page/types.d.ts',
    '/page/',
    '/page/../package.json',
    '/page/%2e%2e/README.md',
  ])
    t.equal((await fastify.inject(url)).statusCode, 404, url)
  for (const url of ['/', '/page/main.js'])
    t.match(await fastify.inject({ url, method: 'POST' }), { statusCode: 405, headers: { allow: 'GET, HEAD' } })
  t.equal((await fastify.inject({ url: '/', method: 'HEAD' })).body, '')
})

t.test('all of it together is less than 100 kB', async (t) => {
  const files = await readPage(undefined)
  const bytes = files.reduce((sum, file) => sum + file.bytes.length, 0)
  t.comment(`${bytes} bytes, ${files.reduce((sum, { zipped }) => sum + zipped.length, 0)} zipped`)
  t.ok(bytes < 100_000, `${bytes} bytes`)
})

t.test('no file makes HTML of text, has a style or a script in a line, or names another place', async (t) => {
  for (const { name, bytes } of await readPage(undefined)) {
    const text = bytes.toString()
    t.notMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser/, name)
    t.notMatch(text, /\sstyle=|<style|<script(?! type="module" src)|\son\w+="|javascript:/, name)
    t.strictSame(
      [...text.matchAll(/https?:\/\/[^'"\s]+/g)]
        .map(([url]) => url)
        .filter((url) => url !== 'http://www.w3.org/2000/svg'),
      [],
      name,
    )
  }
})

t.test('every file of the folder is one that the page loads, or the compiler reads', async (t) => {
  const names = await readdir(PAGE_FOLDER)
  const texts = await Promise.all(names.map((name) => readFile(join(PAGE_FOLDER, name), 'utf8')))
  for (const name of names.filter((each) => !['index.html', 'tsconfig.json', 'types.d.ts'].includes(each))) {
    t.ok(['.js', '.css', '.svg'].includes(extname(name)), name)
    t.ok(
      texts.some((text) => text.includes(`./${name}'`) || text.includes(`"page/${name}"`)),
      `${name} is named`,
    )
    t.ok((await stat(join(PAGE_FOLDER, name))).isFile())
  }
})

t.test('where our image runs, every command is named as it is started there', async (t) => {
  const problems = ['Stuck: `npm run sync -- doctor` says why.']
  const board = {
    read: async () => ({ problems }),
    async *watch() {
      // The answer is read meanwhile.
      for (let turn = 0; turn < 20; turn++) {
        yield { problems }
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
  } as unknown as NonNullable<AppOptions['board']>
  const { fastify } = await start(t, {}, [], { board, command: 'docker compose run --rm sync' })
  const headers = { authorization: `Bearer ${TOKEN}` }
  const there = /Stuck: `docker compose run --rm sync doctor` says why/
  t.match((await fastify.inject({ url: '/api/sync/status/stream', headers })).body, there)
  const refused = await fastify.inject({ method: 'POST', url: '/api/sync/alerts/test', headers })
  t.notMatch(refused.body, /npm run sync/)
  for (const name of await readdir(PAGE_FOLDER))
    t.notMatch((await fastify.inject(`/page/${name}`)).body, /npm run sync/, name)
  t.match((await fastify.inject('/page/verify.js')).body, /docker compose run --rm sync verify/)
})
