import type { Value } from '@clinic-sync/contracts'
import type { RecordStory } from '@clinic-sync/operations'
import { tableLines, wrapped } from '../status/table.ts'

const WIDTH = 110
const HEADING = 19

/** A record's story for people. */
export const storyLines = (story: RecordStory): string[] => [
  `${story.table}/${story.key}`,
  '',
  ...story.sections.flatMap(({ heading, sentences }) =>
    sentences
      .flatMap((sentence) => wrapped(sentence, WIDTH - HEADING, ''))
      .map((line, i) => `${(i === 0 ? heading : '').padEnd(HEADING)}${line}`),
  ),
  ...columnLines(story),
  ...rulingLines(story),
]

/** The values, where they were asked for. */
function columnLines({ columns }: RecordStory): string[] {
  if (columns.every((each) => !('clinic' in each) && !('portal' in each))) return []
  const rows = columns.map(({ column, equal, clinic, portal }) => [
    equal === false ? '≠' : '',
    column,
    shown(clinic),
    shown(portal),
  ])
  return ['', ...tableLines([['', 'COLUMN', 'clinic', 'portal'], ...rows])]
}

function rulingLines({ rulings }: RecordStory): string[] {
  return rulings.flatMap(({ id, ruling, values }) =>
    values === undefined
      ? []
      : [
          '',
          `${id}: ${ruling}`,
          ...tableLines([
            ['COLUMN', 'clinic', 'portal', 'before'],
            ...values.map(({ column, clinic, portal, base }) => [column, shown(clinic), shown(portal), shown(base)]),
          ]),
        ],
  )
}

const shown = (value: Value | undefined): string => (value === undefined ? '–' : JSON.stringify(value))
