import type { applyClinicChange, captureEdit, ruleOnPortalEdit, Values } from '../../src/index.ts'
import { ClinicSide, type ToClinic, type ToPortal } from './clinic.ts'
import { PortalSide } from './portal.ts'
import { newRow, roundedToDatetime, type Setup, tableFor } from './table.ts'
import { must } from './violation.ts'

export interface Rules {
  readonly rule: typeof ruleOnPortalEdit
  readonly apply: typeof applyClinicChange
  readonly capture: typeof captureEdit
}

/** Says what happens, for whoever reads a counterexample. */
export type Tell = (sentence: string) => void

/** Draws numbers below `n`, in a row, out of one step of a schedule. */
export type Draw = (n: number) => number

/** A record on both sides, and the events on their way. */
export interface Place {
  readonly key: number
  readonly clinic: ClinicSide
  readonly portal: PortalSide
  readonly toClinic: ToClinic[]
  readonly toPortal: ToPortal[]
  /** Events put aside: in a retry queue, or with the dead letters. */
  readonly asideToClinic: ToClinic[]
  readonly asideToPortal: ToPortal[]
  /** What was written last to the columns that one side alone edits. */
  readonly last: Record<string, unknown>
  /** Columns that the conflict log names. */
  readonly logged: Set<string>
  readonly kind: 'A' | 'B'
}

const QUIET_AFTER = 60

/** Several records in two databases that share their outboxes' sequences, and everything that may happen to them. */
export class World {
  readonly places: readonly Place[]
  #value = 100

  get #flips(): boolean {
    return this.setup.kinds && this.setup.flips
  }

  constructor(
    readonly setup: Setup,
    readonly rules: Rules,
    records: readonly { readonly born: 'clinic' | 'portal'; readonly kind: 'A' | 'B' }[],
    readonly tell: Tell = () => {},
    judging = true,
  ) {
    const table = tableFor(setup)
    let [clinicId, portalId] = [0n, 0n]
    // Whose a value was is not told from the kind of the row alone then: only that both sides end up equal is.
    const judged = judging && !this.#flips
    this.places = records.map(({ born, kind }, index) => {
      const key = born === 'clinic' ? index + 1 : -index - 1
      const clinic = new ClinicSide(key, table, setup, rules.rule, () => ++clinicId, judged)
      const portal = new PortalSide(table, rules, () => ++portalId, judged)
      const aside = { asideToClinic: [], asideToPortal: [] }
      const place: Place = {
        key,
        clinic,
        portal,
        toClinic: [],
        toPortal: [],
        ...aside,
        last: {},
        logged: new Set(),
        kind,
      }
      if (born === 'clinic') clinic.write(newRow(key, kind, index))
      else portal.edit(newRow(key, 'A', index))
      return place
    })
  }

  /** A value: mostly a new one, now and then the one that was written before (perhaps on the other side). */
  newValue(draw: Draw): number {
    if (draw(5) > 0) this.#value++
    return this.#value
  }

  say(place: Place, sentence: string): void {
    this.tell(`${place.key}: ${sentence}`)
  }

  send(place: Place, settled: boolean, side: 'clinic' | 'portal'): void {
    if (side === 'clinic') {
      place.clinic.beginDrain()
      const event = place.clinic.endDrain(settled)
      if (event) place.toPortal.push(event)
      if (event) this.say(place, `clinic sends ${shown(event.row)} (version ${event.version}, seen ${event.seen})`)
      return
    }
    const event = place.portal.drain(settled)
    if (event) place.toClinic.push(event)
    if (event) {
      const { version, since, base, row } = event.edit
      this.say(place, `portal sends ${shown(row)} (version ${version}, since ${since}, base ${shown(base)})`)
    }
  }

  deliverToClinic(place: Place, event: ToClinic): void {
    const ruling = place.clinic.process(event)
    const { outcome, conflicts, queue } = ruling
    const log = conflicts.map(({ column }) => column ?? 'row').join(', ')
    this.say(
      place,
      `clinic gets version ${event.edit.version}: ${outcome}${log && ` (${log})`}${queue ? ', queued' : ''}: ${shown(place.clinic.record.row)}`,
    )
    for (const { column } of conflicts) place.logged.add(column ?? 'row')
    if (outcome === 'dead') place.asideToClinic.push(event)
  }

  deliverToPortal(place: Place, event: ToPortal): void {
    const { outcome, lost } = place.portal.apply(event)
    this.say(
      place,
      `portal gets version ${event.version}: ${outcome}${lost ? ', lost' : ''}: ${shown(place.portal.record.row)}`,
    )
  }

  /** Nobody edits any more: everything is sent, delivered and replayed, and then both sides are equal. */
  quiet(lastFirst: boolean): void {
    for (const place of this.places) {
      place.clinic.cured = true
      place.toClinic.push(...place.asideToClinic.splice(0))
      place.toPortal.push(...place.asideToPortal.splice(0))
      const busy = () => place.clinic.pending.length + place.portal.record.pending.length > 0 || place.clinic.reading
      let rounds = 0
      while (busy() || place.toClinic.length + place.toPortal.length > 0) {
        must(++rounds < QUIET_AFTER, () => `${place.key}: it never ends`)
        this.send(place, true, 'clinic')
        this.send(place, true, 'portal')
        const toPortal = lastFirst ? place.toPortal.pop() : place.toPortal.shift()
        if (toPortal) this.deliverToPortal(place, toPortal)
        const toClinic = lastFirst ? place.toClinic.pop() : place.toClinic.shift()
        if (toClinic) this.deliverToClinic(place, toClinic)
      }
      this.#compare(place)
    }
  }

  #compare(place: Place): void {
    const { key, clinic, portal } = place
    const [here, there] = [clinic.record.row, portal.record.row]
    must(JSON.stringify(ordered(here)) === JSON.stringify(ordered(there)), () => {
      return `${key}: the sides differ: clinic ${shown(here)}, portal ${shown(there)}`
    })
    portal.ledger.own.forEach((own, i) => {
      const heard = Math.max(clinic.ledger.heard[i] ?? 0, portal.ledger.gone[i] ?? 0)
      must(own <= heard, () => `${key}: the clinic never heard of a doctor's edit`)
    })
    const { clinicDeletes, portalDeletes } = this.setup
    if (!clinicDeletes && !portalDeletes && !this.#flips && here !== null) compareSingles(place, here)
  }
}

/** Columns that one side alone edits, in a record that nobody deletes: the last edit stands, and nothing is in conflict. */
function compareSingles({ key, last, logged, kind }: Place, row: Values): void {
  for (const [name, value] of Object.entries(last)) {
    if (name === 'v' && kind === 'B') continue
    const stands = name === 'v' ? roundedToDatetime(String(value)) === row[name] : row[name] === value
    must(stands, () => `${key}: an edit of ${name}, which one side alone edits, is lost`)
    must(!logged.has(name), () => `${key}: ${name}, which one side alone edits, is in conflict`)
  }
}

const ordered = (row: Values | null) => row && Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))

/** A row in few words. */
export const shown = (row: Values | null): string =>
  row === null
    ? 'nothing'
    : `{${Object.entries(row)
        .filter(([name]) => name !== 'id' && name !== 'kind')
        .map(([name, value]) => `${name} ${name === 'v' && typeof value === 'string' ? value.slice(17, 23) : value}`)
        .join(', ')}}`
