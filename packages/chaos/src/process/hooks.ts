import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/**
 * Hooks into the libraries under a service that runs exactly as in production: at a named step the process kills itself, and
 * SIGWINCH (a signal that services leave alone) stops its event loop for a while. Loaded before the service; development only.
 *
 * Consumers: `received` (before the batch is applied), `applied`, `outcomes-published` (before it is acknowledged), `acked`.
 * Ingress: `taken` (before anything is published), `published` (confirmed, but not yet settled), `settled`, `outcome-received`,
 * `outcome-settled`.
 */
const require = createRequire(import.meta.url)

/** Replaces a method of a prototype by one made from it. */
type Method = (this: unknown, ...args: unknown[]) => unknown
function wrap(prototype: Record<string, unknown>, name: string, make: (original: Method) => Method): void {
  const original = prototype[name]
  if (typeof original !== 'function') throw new TypeError(`nothing to hook: ${name}`)
  prototype[name] = make(original as Method)
}

const step = process.env['CHAOS_STEP'] ?? ''
let left = Number(process.env['CHAOS_STEP_NTH'] ?? 1)

function reached(here: string): void {
  if (here === step && --left === 0) process.kill(process.pid, 'SIGKILL')
}

type Call = 'take' | 'settle' | 'apply' | null

/** Which of the sync's verbs a statement or procedure is. */
function callOf(text: string): Call {
  if (/\bsync\.(TakeChanges|take_changes)\b/.test(text)) return 'take'
  if (/\bsync\.(SettleChanges|settle_changes)\b/.test(text)) return 'settle'
  return /\bsync\.(ApplyPortalChanges|apply_clinic_changes)\b/.test(text) ? 'apply' : null
}

const isQueued = (argument: string) => argument.includes('"queued"')

function before(call: Call, argument: string): void {
  if (call === 'apply') reached('received')
  if (call === 'settle') reached(isQueued(argument) ? 'published' : 'outcome-received')
}

function after(call: Call, argument: string, answer: string): void {
  if (call === 'apply') reached('applied')
  if (call === 'settle') reached(isQueued(argument) ? 'settled' : 'outcome-settled')
  // What is taken is JSON with the records' tables in it.
  if (call === 'take' && answer.includes('"table')) reached('taken')
}

const json = (value: unknown) => JSON.stringify(value) ?? ''

if (step !== '') {
  const mssql = require('mssql') as { Request: { prototype: Record<string, unknown> } }
  wrap(
    mssql.Request.prototype,
    'execute',
    (original) =>
      async function (this: unknown, ...args) {
        const call = callOf(String(args[0]))
        const { parameters } = this as { parameters: Record<string, { value: unknown }> }
        const argument =
          call === null ? '' : json(Object.values(parameters).map(({ value }) => value)).replaceAll('\\"', '"')
        before(call, argument)
        const result = (await original.apply(this, args)) as { recordsets?: unknown }
        if (call !== null)
          after(
            call,
            argument,
            json(result.recordsets)
              .replaceAll('\\"', '"')
              .replace(/"(TableName)"/g, '"table'),
          )
        return result
      },
  )
  const pg = require('pg') as { Client: { prototype: Record<string, unknown> } }
  wrap(
    pg.Client.prototype,
    'query',
    (original) =>
      function (this: unknown, ...args) {
        const [first] = args
        const call = callOf(typeof first === 'string' ? first : String((first as { text?: unknown } | undefined)?.text))
        if (call === null) return original.apply(this, args)
        const argument = json(args.filter((value) => typeof value !== 'function')).replaceAll('\\"', '"')
        before(call, argument)
        const done = (result: unknown) =>
          after(call, argument, json((result as { rows?: unknown } | undefined)?.rows).replaceAll('\\"', '"'))
        const callback = args.at(-1)
        if (typeof callback === 'function') {
          const heard = (error: unknown, result: unknown) => {
            if (!error) done(result)
            ;(callback as Method)(error, result)
          }
          return original.apply(this, [...args.slice(0, -1), heard])
        }
        return (original.apply(this, args) as Promise<unknown>).then((result) => {
          done(result)
          return result
        })
      },
  )
  // Its parts are not among its exports.
  const amqplib = dirname(require.resolve('amqplib'))
  const model = require(join(amqplib, 'lib', 'channel_model.js')) as { Channel: { prototype: Record<string, unknown> } }
  wrap(
    model.Channel.prototype,
    'ack',
    (original) =>
      function (this: unknown, ...args) {
        reached('outcomes-published')
        const result = original.apply(this, args)
        // Once it has been written to the socket.
        if (step === 'acked') setTimeout(() => reached('acked'), 5)
        return result
      },
  )
}

/** As a computation that never lets go: nothing is read, nothing answered, no heartbeat sent. Milliseconds. */
const FULL_MS = 5_000
process.on('SIGWINCH', () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_MS)
})
