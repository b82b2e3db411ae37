/** Whether it is `verify` that is asked for: a reason, or a file, may be called so as well. @param args behind `sync` */
export function isVerify(args: readonly string[]): boolean {
  const command = args.find((arg, i) => !arg.startsWith('-') && args[i - 1] !== '--env-file')
  return command === 'verify'
}
