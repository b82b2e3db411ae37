import type { Command, Option } from 'commander'

/**
 * Options that npm kept for itself. `npm run sync migrate --dry-run`, without `--`, starts the command without its option, and all
 * that is left of that is npm's environment, npm_config_dry_run. PowerShell drops a bare `--` as well (npm/cli#3136).
 *
 * @param argv what the program got.
 * @returns one sentence for the operator; null: nothing is missing.
 */
export function takenByNpm(
  program: Command,
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): string | null {
  const outer = program.commands.find((each) => argv.includes(each.name()))
  if (outer === undefined) return null
  const command = outer.commands.find((each) => argv.includes(each.name())) ?? outer
  const taken = [...program.options, ...command.options].flatMap((option) => {
    const value = valueOf(option, environment)
    return value === undefined || got(option, argv) ? [] : [{ option, value }]
  })
  if (taken.length === 0) return null
  const words = [...argv]
  for (const { option, value } of taken) {
    const swallowed = value === 'true' ? [] : [value]
    const flag = option.long ?? option.flags
    if (!option.required && !option.optional) words.push(...swallowed, flag)
    // Its value stayed where it was, behind the place of the flag; or npm has that too.
    else words.splice(program.options.includes(option) ? 0 : words.indexOf(command.name()) + 1, 0, flag, ...swallowed)
  }
  const right = words.map((word) => (/^[\w./\\:=@+-]+$/.test(word) ? word : `"${word}"`)).join(' ')
  return (
    `npm has kept ${taken.map(({ option }) => option.long).join(' and ')} for itself, so nothing was done: write ` +
    `npm run sync -- ${right} (in PowerShell: npm run sync '--' ${right}, or use the Command Prompt).`
  )
}

/** What npm has of it. Older npms name every setting of theirs, with no or a negative value where it is off. */
function valueOf(option: Option, environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const names = [option.long, option.short].flatMap((flag) => flag?.replace(/^-+/, '').replaceAll('-', '_') ?? [])
  const value = names.map((name) => environment[`npm_config_${name}`]).find(Boolean)
  return value === 'false' ? undefined : value
}

const got = ({ long, short }: Option, argv: readonly string[]): boolean =>
  argv.some(
    (word) =>
      word === long ||
      word.startsWith(`${long}=`) ||
      (short !== undefined && /^-\w/.test(word) && word.startsWith(short)),
  )
