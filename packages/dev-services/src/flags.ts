export type DevServicesFlags = { yes: boolean }

/**
 * What the command line says about the services: `--yes` or `-y`, or `npm test --yes`, which npm hands on in the
 * environment. Other arguments are left alone.
 */
export function parseDevServicesFlags(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): DevServicesFlags {
  const end = argv.indexOf('--')
  const own = end < 0 ? argv : argv.slice(0, end)
  return { yes: own.includes('--yes') || own.includes('-y') || env.npm_config_yes === 'true' }
}
