import type { ChannelModel } from 'amqplib'

/** Milliseconds. RabbitMQ declares a quorum queue within a second; three nodes that have just elected a leader take some. */
const ANSWER_MS = 30_000
/** Looks in that time. They are counted, not the clock: a process that stood still has not waited. */
const LOOKS = 6

export interface AnswersOptions {
  readonly answerMs?: number | undefined
  /** Whether answers cannot be heard at this moment, so that none is missed. */
  readonly isDeaf?: () => boolean
  /** Called once. */
  readonly onSilent: (error: Error) => void
}

/** What a channel has asked and not been answered yet, which amqplib's types do not show. */
type Asking = { readonly reply?: unknown }
type Inside = { readonly channels: readonly ({ readonly channel: Asking } | null | undefined)[] }

/**
 * Notices when RabbitMQ leaves a question (opening a channel, a declaration, a consumer's start) without any answer, though its heartbeats
 * come: a cluster that cannot elect a leader was seen to, for as long as it was looked at. Another connection may reach
 * another node. Returns what ends it.
 */
export function watchAnswers(model: ChannelModel, options: AnswersOptions): () => void {
  const { answerMs = ANSWER_MS, isDeaf = () => false, onSilent } = options
  const { channels } = model.connection as unknown as Inside
  const seen = new WeakMap<Asking, { readonly reply: unknown; readonly looks: number }>()
  const look = () => {
    for (const entry of channels) {
      // Channel 0 is the connection itself.
      if (entry === null || entry === undefined || entry === channels[0]) continue
      const { channel } = entry
      const before = seen.get(channel)
      const reply = channel.reply ?? null
      const looks = reply !== null && reply === before?.reply && !isDeaf() ? before.looks + 1 : 0
      seen.set(channel, { reply, looks })
      if (looks < LOOKS) continue
      clearInterval(timer)
      return onSilent(new Error(`RabbitMQ has not answered for ${answerMs / 1000} s`))
    }
  }
  const timer = setInterval(look, answerMs / LOOKS)
  timer.unref()
  return () => clearInterval(timer)
}
