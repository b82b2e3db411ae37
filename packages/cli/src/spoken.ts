/** How the commands are started from a checkout, as every text of ours has it. */
const FROM_CHECKOUT = 'npm run sync --'

/**
 * A text with the commands as they are started here.
 *
 * @param command SYNC_COMMAND, which our image sets; undefined: from a checkout. `init` is a service of its own in docker-compose.yml.
 */
export function spoken(text: string, command: string | undefined): string {
  if (!command) return text
  return text
    .replaceAll(`${FROM_CHECKOUT} init`, () => command.replace(/\bsync$/, 'init'))
    .replaceAll(FROM_CHECKOUT, () => command)
}

/** Everything that this process prints from now on names the commands so. */
export function speakAs(command: string | undefined, streams: readonly NodeJS.WriteStream[]): void {
  if (!command) return
  for (const stream of streams) {
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
    stream.write = (chunk: unknown, ...rest: unknown[]) =>
      write(typeof chunk === 'string' ? spoken(chunk, command) : chunk, ...rest)
  }
}
