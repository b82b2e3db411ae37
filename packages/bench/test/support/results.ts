import type { Reported, Results } from '../../src/results.ts'
import { QUICK } from '../../src/measure.ts'

export function figure(name: string, values: readonly number[], more: Partial<Reported> = {}): Reported {
  const sorted = values.toSorted((a, b) => a - b)
  const [min = 0, max = 0, median = 0] = [sorted[0], sorted.at(-1), sorted[values.length >> 1]]
  return {
    name,
    unit: 'changes/s',
    better: 'more',
    measure: 'sustained',
    values,
    n: values.length,
    min,
    max,
    median,
    target: null,
    ...more,
  }
}

export function results(more: Partial<Results> = {}): Results {
  return {
    format: 1,
    command: 'npm run bench -- --write',
    startedAt: '2026-11-23T10:00:00.000Z',
    seconds: 1_200,
    commit: '0123456789',
    machine: { cpu: 'A & B <CPU>', cores: 2, memoryGiB: 8, os: 'Debian', kernel: 'linux 6.1', arch: 'x64' },
    versions: { Node: '22.1.0', PostgreSQL: '18.1' },
    scale: QUICK,
    rounds: 3,
    figures: [
      figure('clinic → portal, sustained', [9_000, 8_000, 8_500], { target: { text: '≥ 8,000', reached: true } }),
      figure('raw relay', [20_000, 21_000, 22_000], { measure: 'raw-relay' }),
      figure('one row at a time', [250, 240, 260], { measure: 'row-by-row' }),
      figure('clinic → portal, A & <B>: p50', [4, 5, 6], { measure: 'latency', unit: 'ms', better: 'less' }),
      figure('clinic → portal, A & <B>: p99', [40, 0, 60], {
        measure: 'latency',
        unit: 'ms',
        better: 'less',
        target: { text: '< 30', reached: false },
      }),
    ],
    ratios: [figure('clinic → portal, sustained ÷ raw relay', [0.4], { unit: '×', measure: 'ratios' })],
    problems: [],
    ...more,
  }
}
