import { syncProgram } from '@clinic-sync/cli/program'
import { blocksOf } from '../blocks/blocks.ts'
import type { Fault, Page } from '../pages.ts'
import { checkCommands, checkCommandsInSources, optionsInSources } from './commands.ts'
import { checkCompose } from './compose.ts'
import { checkLinks, checkOrphans } from './links.ts'
import { checkDependencies, checkEditorconfig, checkVersions, isThere, manifests } from './project.ts'
import { checkNames, checkPaths, checkSettings } from './settings.ts'

/** Everything that can be held against the code without running it. Routes are asked of a running ingress: `routes.ts`. */
export function checkPages(pages: readonly Page[]): Fault[] {
  const root = manifests().find(({ path }) => path === 'package.json')
  const known = {
    scripts: new Set(Object.keys(root?.manifest.scripts ?? {})),
    program: syncProgram(),
    options: optionsInSources(),
  }
  const page = (path: string) => pages.find((each) => each.path === path)
  return [
    ...pages.flatMap((each) => blocksOf(each).faults),
    ...checkLinks(pages),
    ...checkOrphans(pages),
    ...checkCommands(pages, known),
    ...checkCommandsInSources(known),
    ...checkCompose(pages),
    ...checkSettings(pages),
    ...checkNames(pages),
    ...checkPaths(pages, isThere),
    ...checkDependencies(page('docs/dependencies.md')),
    ...checkVersions(page('CHANGELOG.md')),
    ...checkEditorconfig(),
  ]
}

export const faultLine = ({ path, line, message }: Fault): string => `${path}:${line}: ${message}`
