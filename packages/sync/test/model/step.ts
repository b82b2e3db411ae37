import type { Values } from '../../src/index.ts'
import { newRow, valueFor } from './table.ts'
import type { Draw, Place, World } from './world.ts'

const CLINIC_EDITS = ['a', 's', 't', 'u', 's', 't'] as const
const DOCTORS_EDIT = ['s', 't', 'v', 's', 't', 'v', 's', 'a'] as const

/** One thing happens to one record: what, is in the step's number. */
export function step(world: World, number: number): void {
  let rest = number
  const draw: Draw = (n) => {
    const drawn = rest % n
    rest = Math.floor(rest / n)
    return drawn
  }
  const action = draw(100)
  const place = world.places[draw(world.places.length)]
  if (place === undefined) return
  if (action < 17) staffEdits(world, place, draw)
  else if (action < 20) staffDeletes(world, place, draw)
  else if (action < 35) doctorEdits(world, place, draw)
  else if (action < 38) doctorDeletes(world, place, draw)
  else if (action < 51) drainClinic(world, place, draw)
  else if (action < 64) world.send(place, draw(8) > 0, 'portal')
  else if (action < 79) deliver(world, place.toPortal, (event) => world.deliverToPortal(place, event), draw)
  else if (action < 94) deliver(world, place.toClinic, (event) => world.deliverToClinic(place, event), draw)
  else aside(world, place, draw)
}

function staffEdits(world: World, place: Place, draw: Draw): void {
  const { row } = place.clinic.record
  const name = CLINIC_EDITS[draw(6)]
  if (row === null || name === undefined) return
  if (flips(world, draw)) return place.clinic.write(flipped(row))
  const value = valueFor(name, world.newValue(draw))
  world.say(place, `staff write ${name} ${value}`)
  place.clinic.write({ ...row, [name]: value })
  if (name === 'a' || name === 'u') place.last[name] = value
}

const flips = ({ setup }: World, draw: Draw) => setup.kinds && setup.flips && draw(5) === 0
const flipped = (row: Values): Values => ({ ...row, kind: row.kind === 'A' ? 'B' : 'A' })

function staffDeletes(world: World, place: Place, draw: Draw): void {
  const { clinic, kind, key } = place
  if (!world.setup.clinicDeletes) return
  if (clinic.record.row !== null) {
    world.say(place, 'staff delete it')
    clinic.write(null)
  } else if (clinic.hadRow && draw(3) === 0) {
    world.say(place, 'staff bring it back')
    clinic.write(newRow(key, kind, world.newValue(draw)))
  }
}

function doctorEdits(world: World, place: Place, draw: Draw): void {
  const { row, base } = place.portal.record
  const name = DOCTORS_EDIT[draw(8)]
  if (row === null || name === undefined) return
  // A new record that is not a doctor's would be a dead letter for good.
  if (place.key > 0 && flips(world, draw)) return place.portal.edit(flipped(row))
  // Also back to what it was before the edits in flight.
  const back = draw(4) === 0 && name !== 'a' ? (base ?? row)[name] : undefined
  const value = back ?? valueFor(name, world.newValue(draw))
  world.say(place, `doctor writes ${name} ${value}`)
  place.portal.edit({ ...row, [name]: value })
  if (name === 'v') place.last[name] = value
}

function doctorDeletes(world: World, place: Place, draw: Draw): void {
  const { portal, key } = place
  const { row, since } = portal.record
  if (!world.setup.portalDeletes) return
  if (row !== null) {
    world.say(place, 'doctor deletes it')
    portal.edit(null)
  } else if (since !== null && draw(3) === 0) {
    world.say(place, 'doctor makes it anew')
    const anew: Values = newRow(key, 'A', world.newValue(draw))
    portal.edit(anew)
  }
}

/** In one go, or with time between what is read of the outbox and what is read of the row. */
function drainClinic(world: World, place: Place, draw: Draw): void {
  if (place.clinic.reading === null && draw(4) === 0) place.clinic.beginDrain()
  else world.send(place, draw(8) > 0, 'clinic')
}

function deliver<E>(world: World, wire: E[], give: (event: E) => void, draw: Draw): void {
  const index = world.setup.reorder && wire.length > 0 ? draw(wire.length) : 0
  const event = wire[index]
  if (event === undefined) return
  // Now and then it will be delivered once more.
  if (draw(5) > 0) wire.splice(index, 1)
  give(event)
}

/** An event waits in a retry queue or with the dead letters, or comes back from there, at any later time. */
function aside(world: World, place: Place, draw: Draw): void {
  const clinic = draw(2) === 0
  const back = draw(2) === 0
  const move = <E>(from: E[], to: E[]) => {
    const [event] = from.splice(draw(Math.max(1, from.length)), 1)
    if (event !== undefined) to.push(event)
    if (event !== undefined)
      world.say(place, `an event to the ${clinic ? 'clinic' : 'portal'} is ${back ? 'replayed' : 'put aside'}`)
  }
  if (clinic && back) move(place.asideToClinic, place.toClinic)
  else if (clinic) move(place.toClinic, place.asideToClinic)
  else if (back) move(place.asideToPortal, place.toPortal)
  else move(place.toPortal, place.asideToPortal)
}
