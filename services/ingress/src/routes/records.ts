import { PageFailure, RecordParams, RecordQuery, RecordTold } from '@clinic-sync/contracts'
import { explainRecord, recordNamed, type RecordPorts, type RecordStory } from '@clinic-sync/operations'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireOperator } from '../auth.ts'
import { allowOnly } from '../methods.ts'

export interface RecordRoutesOptions {
  /** Whom one record's story is asked of. */
  readonly records: RecordPorts
  /** SYNC_OPERATOR_TOKEN */
  readonly token: string
}

/** For each part. Milliseconds. */
const PATIENCE_MS = 10_000

/** One record's story, as `explain` tells it; with values for who asks for them, and then the log says that somebody did. */
export const recordRoutes: FastifyPluginAsyncTypebox<RecordRoutesOptions> = async (app, { records, token }) => {
  const schema = {
    params: RecordParams,
    querystring: RecordQuery,
    response: { 200: RecordTold, '4xx': PageFailure, '5xx': PageFailure },
  }
  const route = '/records/:table/:key'
  app.get(route, { onRequest: requireOperator(token), schema }, async ({ params, query, ip, log }) => {
    const { table, key } = recordNamed(params.table, params.key)
    const showValues = query.values === 'true'
    const story = await explainRecord(records, table, key, { showValues, patienceMs: PATIENCE_MS })
    if (showValues) log.info({ record: `${table}/${key}`, from: ip }, 'somebody has looked at the values of a record')
    return told(story)
  })
  allowOnly(app, route, ['GET', 'HEAD'])
}

const told = ({ sections, columns, rulings, unasked, ...story }: RecordStory): RecordTold => ({
  ...story,
  sections: sections.map(({ heading, sentences }) => ({ heading, sentences: [...sentences] })),
  columns: columns.map((each) => ({ ...each })),
  rulings: rulings.map(({ columns: names, values, ...ruling }) => ({
    ...ruling,
    columns: names && [...names],
    ...(values && { values: values.map((each) => ({ ...each })) }),
  })),
  unasked: [...unasked],
})
