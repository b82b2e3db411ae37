import { spoken } from '@clinic-sync/runtime'

/** Everything that this process prints from now on names the commands so. */
export function speakAs(command: string | undefined, streams: readonly NodeJS.WriteStream[]): void {
  if (!command) return
  for (const stream of streams) {
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
    stream.write = (chunk: unknown, ...rest: unknown[]) =>
      write(typeof chunk === 'string' ? spoken(chunk, command) : chunk, ...rest)
  }
}
