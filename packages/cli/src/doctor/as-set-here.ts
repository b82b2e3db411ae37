import type { Environment } from '@clinic-sync/runtime'
import type { Check } from './check.ts'

/**
 * A check whose advice names what has to be changed here: the file that holds a URL or a secret, in place of `.env`, which only names
 * it; and in Docker the command that makes a service read its settings anew, since `docker compose restart` does not read `.env`.
 *
 * @param environment what the command itself was started with
 */
export function asSetHere(check: Check, environment: Environment): Check {
  if (check.todo === null) return check
  const named = check.todo.replaceAll(
    /\b([A-Z]+(?:_[A-Z]+)+)( another value)?(?: in \.env| \(\.env\))/g,
    (said, name, value = '') => {
      const file = environment[`${name}_FILE`]
      // Our compose file mounts the folder `secrets` there.
      return file ? `${name}${value} (the file ${file.replace(/^\/run\/secrets\//, 'secrets/')})` : said
    },
  )
  return { ...check, todo: /^docker\b/.test(environment.SYNC_COMMAND ?? '') ? inDocker(named) : named }
}

const inDocker = (todo: string) =>
  todo
    .replace(
      'Start the ingress, or correct INGRESS_URL in .env.',
      'docker compose up -d. An ingress that was started just now needs some seconds.',
    )
    .replaceAll('restart the services', 'docker compose up -d --force-recreate')
    .replaceAll('restart the ingress', 'docker compose up -d --force-recreate ingress')
