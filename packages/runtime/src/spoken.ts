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
