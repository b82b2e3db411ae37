import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Makeable } from '../blocks/marker.ts'
import { makeDeadLetter } from './dead-letter.ts'
import type { Stage } from './stage.ts'

/** What stands for a placeholder, and how to take it away when the block has ended. */
export interface Made {
  readonly text: string
  undo?(): Promise<unknown>
}

/** Makes what a block asks for. @param folder the block's own. */
export async function make(what: Makeable, stage: Stage, folder: string): Promise<Made> {
  const { services } = stage.demo
  switch (what) {
    case 'a dead letter':
      return makeDeadLetter(stage, { code: '22023', passes: false })
    case 'a cause that has passed': {
      const made = await makeDeadLetter(stage, { code: '23514', passes: true })
      return { ...made, text: '23514' }
    }
    case 'a patient':
      return first(stage, 'SELECT person_id AS key FROM patients ORDER BY 1 LIMIT 1')
    case 'a batch':
      return first(stage, 'SELECT aligner_batch_id AS key FROM aligner_batches ORDER BY 1 LIMIT 1')
    case 'a note':
      return first(stage, 'SELECT note_id AS key FROM aligner_notes WHERE note_id > 0 ORDER BY 1 LIMIT 1')
    case 'the operator token':
      return { text: services.operatorToken }
    case 'the webhook secret':
      return { text: services.settings.SYNC_WEBHOOK_SECRET ?? '' }
    case 'a webhook key':
      return { text: `whsec_${randomBytes(32).toString('base64')}` }
    case 'the ingress':
      return { text: services.ingressUrl }
    case 'a file':
    case 'a folder':
      return nothingYet(join(folder, `${what.slice(2)}-${randomBytes(3).toString('hex')}`))
  }
}

async function first(stage: Stage, query: string): Promise<Made> {
  const { rows } = await stage.portal.query<{ key: string | number }>(query)
  if (rows[0] === undefined) throw new Error('the sample clinic has none')
  return { text: String(rows[0].key) }
}

function nothingYet(path: string): Made {
  return { text: path, undo: async () => existsSync(path) && rm(path, { recursive: true }) }
}
