import type { Socket } from 'node:net'

/** What the proxy does with everything that passes. */
export interface Weather {
  readonly stalled: boolean
  readonly vanishing: boolean
  readonly delayMs: number
}

/** More than this on its way is left in the kernel. */
const MOST_BYTES = 4 * 1024 * 1024

/** One direction: what has come and has not been passed on; null is the end. */
interface Way {
  readonly from: Socket
  readonly to: Socket
  waiting: { readonly at: number; readonly data: Buffer | null }[]
  timer?: NodeJS.Timeout
}

/** A client's connection and the server's; `far` is null where the way was lost from the start. */
export class Pair {
  readonly #near: Socket
  readonly #sockets: readonly Socket[]
  readonly #ways: readonly Way[]
  readonly #weather: Weather
  readonly #gone: () => void
  /** Something has vanished: nothing will ever pass again. */
  #lost: boolean

  /** Both sockets with `allowHalfOpen`: an end that vanishes must not be answered. `gone`: the pair is over. */
  constructor(near: Socket, far: Socket | null, weather: Weather, gone: () => void) {
    this.#near = near
    this.#sockets = far === null ? [near] : [near, far]
    this.#weather = weather
    this.#gone = gone
    this.#lost = far === null
    const way = (from: Socket, to: Socket): Way => ({ from, to, waiting: [] })
    this.#ways = far === null ? [way(near, near)] : [way(near, far), way(far, near)]
    for (const each of this.#ways) {
      each.from.on('data', (data: Buffer) => this.#came(each, data))
      each.from.on('end', () => this.#came(each, null))
      each.from.on('error', () => undefined)
      each.from.on('close', (hadError) => this.#closed(hadError))
      each.to.on('drain', () => this.#flow(each))
    }
    this.weatherChanged()
  }

  /** The client has it open. */
  get held(): boolean {
    return !this.#near.destroyed && !this.#near.readableEnded
  }

  weatherChanged(): void {
    if (this.#isOver()) this.drop()
    else for (const way of this.#ways) this.#flow(way)
  }

  /** Resets both ends. */
  drop(): void {
    this.#gone()
    this.#lost = true
    for (const way of this.#ways) clearTimeout(way.timer)
    for (const socket of this.#sockets) if (!socket.destroyed) socket.resetAndDestroy()
  }

  /** Lost, and one end knows it: the other is told as soon as it can be. */
  #isOver(): boolean {
    const ended = this.#sockets.some((socket) => socket.destroyed || socket.readableEnded)
    return this.#lost && ended && !this.#weather.vanishing
  }

  #closed(hadError: boolean): void {
    if (this.#weather.vanishing) this.#lost = true
    const all = this.#sockets.every((socket) => socket.destroyed)
    if (all || this.#isOver() || (hadError && !this.#weather.vanishing)) this.drop()
  }

  #came(way: Way, data: Buffer | null): void {
    way.waiting.push({ at: performance.now() + this.#weather.delayMs, data })
    this.#flow(way)
  }

  /** Passes on what is due, and reads on where there is room. */
  #flow(way: Way): void {
    clearTimeout(way.timer)
    if (this.#weather.vanishing && way.waiting.length > 0) this.#lost = true
    if (this.#lost) {
      way.waiting = []
      way.from.resume()
      if (this.#isOver()) this.drop()
      return
    }
    if (!this.#weather.stalled) this.#pass(way)
    const bytes = way.waiting.reduce((sum, { data }) => sum + (data?.length ?? 0), 0)
    if (this.#weather.stalled || bytes > MOST_BYTES || way.to.writableNeedDrain) way.from.pause()
    else way.from.resume()
  }

  #pass(way: Way): void {
    for (let next = way.waiting[0]; next !== undefined; next = way.waiting[0]) {
      const early = this.#weather.delayMs === 0 ? 0 : next.at - performance.now()
      if (early > 0) {
        way.timer = setTimeout(() => this.#flow(way), early)
        return
      }
      way.waiting.shift()
      if (next.data === null) way.to.end()
      else way.to.write(next.data)
    }
  }
}
